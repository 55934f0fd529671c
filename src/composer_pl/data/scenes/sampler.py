"""An endless sequence of scenes: scene i of a seed is a pure function of the two."""

import math

from composer_pl.data.scenes.attributes import AttributeTable
from composer_pl.data.scenes.description import Scene, Surroundings
from composer_pl.data.scenes.draws import Draws
from composer_pl.data.scenes.layout import lay_out
from composer_pl.data.scenes.rules import SceneRules


class SceneSampler:
    """Scenes by number.

    What a scene holds, how it is laid out and what surrounds it come from three independent streams
    of draws, so that two rules that differ in colours only give the same places and light.
    """

    def __init__(self, seed: int = 0, rules: SceneRules | None = None):
        """Prepare.

        Args:
            seed: Decides everything, together with a scene's number.
            rules: What scenes may hold; None permits all.

        Raises:
            ConfigError: The rules contradict each other.
        """
        self.seed = seed
        self.rules = rules or SceneRules()
        self.table = AttributeTable(self.rules)

    def scene(self, index: int) -> Scene:
        """Return scene `index`, any integer."""
        attributes = self.table.draw(Draws(self.seed, index, "scene objects"))
        objects, camera = lay_out(attributes, Draws(self.seed, index, "scene layout"))
        return Scene(
            seed=self.seed,
            index=index,
            objects=objects,
            camera=camera,
            surroundings=self._surroundings(Draws(self.seed, index, "scene surroundings")),
        )

    def _surroundings(self, draws: Draws) -> Surroundings:
        sky = draws.choice(self.rules.sky_names)
        # From behind one's shoulder to half against the light; low where the sun is setting.
        side = 1.0 if draws.chance(0.5) else -1.0
        around = side * math.radians(draws.uniform(35, 140))
        low, high = (18, 32) if sky == "sunset" else (38, 64)
        up = math.radians(draws.uniform(low, high))
        light = (
            math.cos(up) * math.sin(around),
            math.sin(up),
            -math.cos(up) * math.cos(around),
        )
        return Surroundings(
            floor=draws.choice(self.rules.floor_names),
            floor_tone=int(draws.uniform(0, 1 << 16)),
            floor_rotation=draws.uniform(0, 2 * math.pi),
            floor_scale=draws.uniform(0.8, 1.35),
            sky=sky,
            light=light,
            clouds=draws.uniform(0, 1000),
        )
