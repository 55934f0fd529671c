"""Other models in the same tables: of one condition alone, or that drop by another rule."""

from dataclasses import dataclass, replace

from composer_pl.errors import UserInputError
from composer_pl.evaluation.control.measure import ALL, Draw, Rival, drawing_of
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another model that draws from the same values and noise.

    Attributes:
        label: How tables call it.
        names: Those of the measured conditions that it knows.
        draw: Draws its pictures.
        sha256: Digest of the model.
        apart: Those that it knows too but takes from a picture in another way, so that the values
            of the measured model mean nothing to it.
    """

    label: str
    names: tuple[str, ...]
    draw: Draw
    sha256: str
    apart: tuple[str, ...] = ()

    def rivals(self) -> list[Rival]:
        """Its arms: each condition alone, and all where there are several."""
        givens: dict[str, tuple[str, ...]] = {name: (name,) for name in self.names}
        if len(self.names) > 1:
            givens[ALL] = self.names
        return [
            Rival(arm=self.arm(arm), given=given, draw=self.draw) for arm, given in givens.items()
        ]

    @property
    def note(self) -> str:
        """What a reader should know of it; empty where there is nothing."""
        if not self.apart:
            return ""
        return (
            f"The baseline {self.label!r} is not given {', '.join(self.apart)}, which it takes "
            f"from pictures in another way than the model."
        )

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
    known = [name for name in names if name in other.plugins]
    shared = tuple(name for name in known if _extracts_alike(name, model, other))
    if not shared:
        raise UserInputError(
            f"{doing}: expected a condition of {', '.join(names)}, extracted in the same way, "
            f"found {', '.join(other.names) or 'none'}. Next: give another model."
        )
    draw = drawing_of(other, recipe, bfloat16=bfloat16)
    apart = tuple(name for name in known if name not in shared)
    return Baseline(label=label, names=shared, draw=draw, sha256=sha256, apart=apart)


def _extracts_alike(name: str, one: ComposerModel, two: ComposerModel) -> bool:
    """Whether two models take the same values of a picture, however often they drop them."""
    ours, theirs = one.plugins[name], two.plugins[name]
    if type(ours) is not type(theirs):
        return False
    side = one.config.resolution
    if ours.scope == "local" and one.value_size(side, side) != two.value_size(side, side):
        return False
    return ours.config() | {"drop_prob": None} == theirs.config() | {"drop_prob": None}
