"""Scenes as a source of training pictures: rendered when a sample is asked for, in batches."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from PIL import Image

from composer_pl.data.records import MadePicture, PictureMaker, Record, SourceListing
from composer_pl.data.scenes.captions import captions
from composer_pl.data.scenes.render import LARGEST, SMALLEST, Rendering, render
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.errors import ConfigError
from composer_pl.randomness import derive_key

RENDERER_VERSION = 1
"""Part of every picture's identity: raise it when the same scene gives other pixels."""

_CAPTIONS = 5

KEPT_BYTES = 256 * 2**20
"""Pixels that one process keeps of scenes that come again, so that an epoch renders none anew."""


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """A source of scenes.

    Attributes:
        count: How many scenes an epoch has, held-out ones included.
        seed: Decides the scenes; independent of the run's seed.
        size: Side in pixels at which scenes are drawn, before they are brought to the canvas and
            the target's size.
        endless: Draw new scenes in every epoch instead of the same `count` ones; held-out scenes
            stay the same.
        rules: What scenes may hold.
    """

    count: int = 10_000
    seed: int = 0
    size: int = 128
    endless: bool = False
    rules: SceneRules = field(default_factory=SceneRules)

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        if self.count < 1:
            raise ConfigError(
                f"Preparing scenes: expected a count of at least 1, found {self.count}. "
                "Next: correct scenes.count."
            )
        if not SMALLEST <= self.size <= LARGEST:
            raise ConfigError(
                f"Preparing scenes: expected a size of {SMALLEST} to {LARGEST} pixels, found "
                f"{self.size}. Next: correct scenes.size."
            )


class SceneSource(PictureMaker):
    """Makes the pictures of a `SceneConfig`; safe to send to worker processes."""

    def __init__(self, config: SceneConfig):
        """Prepare the sampler.

        Raises:
            ConfigError: The rules contradict each other.
        """
        self.config = config
        self.sampler = SceneSampler(config.seed, config.rules)
        self._identity = derive_key("scenes", RENDERER_VERSION, config.size, repr(asdict(config)))
        self._ready: dict[int, MadePicture] = {}
        self._most = 0 if config.endless else KEPT_BYTES // (3 * config.size**2)

    def listing(self) -> SourceListing:
        """One record a scene."""
        records = tuple(
            Record(path="", name=f"scenes-{self.config.seed}/{i:09d}", maker=self, number=i)
            for i in range(self.config.count)
        )
        return SourceListing(records=records, kind="scenes")

    def scene_index(self, number: int, key: int) -> int:
        """Which scene stands for a record in the sample of a key."""
        return derive_key(key, "scene") if self.config.endless else number

    def prepare(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Draw several (number, key) at once for `make`; what is kept is not drawn anew."""
        indices = [self.scene_index(number, key) for number, key in wanted]
        missing = [index for index in dict.fromkeys(indices) if index not in self._ready]
        if len(self._ready) + len(missing) > self._most:
            self._ready = {i: made for i, made in self._ready.items() if i in set(indices)}
        if missing:
            rendering = self.rendering(missing)
            for position, index in enumerate(missing):
                self._ready[index] = self._made(rendering, position)

    def make(self, number: int, key: int) -> MadePicture:
        """Return the picture of a record in the sample of a key."""
        index = self.scene_index(number, key)
        if index not in self._ready:
            return self._made(self.rendering([index]), 0)
        return self._ready[index]

    def rendering(self, indices: Sequence[int]) -> Rendering:
        """Draw scenes by their index, with all their truth."""
        return render([self.sampler.scene(index) for index in indices], self.config.size)

    def _made(self, rendering: Rendering, position: int) -> MadePicture:
        scene = rendering.scenes[position]
        pixels = rendering.pixels[position].permute(1, 2, 0).contiguous().numpy()
        return MadePicture(
            image=Image.fromarray(np.ascontiguousarray(pixels)),
            digest=f"{self._identity}-{scene.index}",
            captions=tuple(caption.text for caption in captions(scene, _CAPTIONS)),
        )
