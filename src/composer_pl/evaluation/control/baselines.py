"""Other models in the same tables: of one condition alone, or that drop by another rule."""

from dataclasses import dataclass, replace

from composer_pl.errors import UserInputError
from composer_pl.evaluation.control.measure import ALL, Draw, Rival, drawing_of
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.plugin.api import ConditionPlugin


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another model that draws from the same values and noise.

    Attributes:
        label: How tables call it.
        names: Those of the measured conditions that it knows.
        draw: Draws its pictures.
        sha256: Digest of the model.
    """

    label: str
    names: tuple[str, ...]
    draw: Draw
    sha256: str

    def rivals(self) -> list[Rival]:
        """Its arms: each condition alone, and all where there are several."""
        givens: dict[str, tuple[str, ...]] = {name: (name,) for name in self.names}
        if len(self.names) > 1:
            givens[ALL] = self.names
        return [
            Rival(arm=self.arm(arm), given=given, draw=self.draw) for arm, given in givens.items()
        ]

    def among(self, names: tuple[str, ...]) -> "Baseline":
        """The same for those of its conditions that could be extracted."""
        return replace(self, names=tuple(name for name in self.names if name in names))

    def arm(self, given: str) -> str:
        """The arm of a condition, or of all."""
        return f"{given}, {self.label}"


def baseline_of(
    label: str,
    other: ComposerModel,
    model: ComposerModel,
    names: tuple[str, ...],
    recipe: SamplingRecipe,
    *,
    sha256: str,
    bfloat16: bool = False,
) -> Baseline:
    """Make a baseline of a model.

    Args:
        label: How tables call it.
        other: The baseline's model, on its device, in evaluation mode.
        model: The model that is measured.
        names: Conditions that are measured.
        recipe: How both are sampled.
        sha256: Digest of the baseline's model.
        bfloat16: As of `drawing_of`.

    Raises:
        UserInputError: It draws at another side, or shares no condition with the model.
    """
    doing = f"Measuring control beside the baseline {label!r}"
    sides = [each.config.resolution for each in (model, other)]
    if sides[0] != sides[1]:
        raise UserInputError(
            f"{doing}: expected a model of the same side, {sides[0]} pixels, found {sides[1]}. "
            f"Next: give another one."
        )
    shared = tuple(
        name
        for name in names
        if name in other.plugins and _extracts_alike(model.plugins[name], other.plugins[name])
    )
    if not shared:
        raise UserInputError(
            f"{doing}: expected a condition of {', '.join(names)}, extracted in the same way, "
            f"found {', '.join(other.names) or 'none'}. Next: give another model."
        )
    draw = drawing_of(other, recipe, bfloat16=bfloat16)
    return Baseline(label=label, names=shared, draw=draw, sha256=sha256)


def _extracts_alike(one: ConditionPlugin, two: ConditionPlugin) -> bool:
    """Whether two plugins take the same values of a picture, however they are dropped."""
    settings = [plugin.config() | {"drop_prob": None} for plugin in (one, two)]
    return type(one) is type(two) and settings[0] == settings[1]
