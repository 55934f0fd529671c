"""What the tasks share: settings, sources, refusals, and the drawing that a task comes down to.

A task is a function `task(composer, ..., settings=TaskSettings()) -> Drawing` (interpolation: one a
frame). It chooses parts and guidance and draws nothing; `drawing.make` draws. So every task can be
shown, written into a picture, done again, and confined to a region.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.parts import Parts
from composer_pl.composing.requests import check_conditions, check_request
from composer_pl.errors import UnknownConditionError, UserInputError
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.tiling import Tiling

Source = str | Path | Image.Image | Parts
"""A picture (file or open), a `parts.safetensors`, or parts."""

FROM_NOISE = SamplingRecipe()
"""How a task draws that begins with noise."""

INVERTING = SamplingRecipe(sampler="ddim", steps=50, guidance=1.0, clip_x_0=False)
"""How a task draws that begins with an inverted picture: the same walk both ways.

With a guidance above 1 the difference between both sets is enlarged. On scenes and photos that
overshoots: at 3 a whole palette is followed less well than at 1, and colours burn out.
"""


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """How the pictures of any task are drawn.

    Attributes:
        n: How many.
        seed: Picture i of a seed is always the same.
        recipe: How the base model samples; None takes the task's own, `FROM_NOISE` or `INVERTING`.
        upsampling: How the upsampler samples; None takes the default.
        tiling: Tiles that it works in; None is whole pictures.
        size: Height and width before upsampling; None takes the model's own.
        progress: Told (finished steps, all steps) of an inversion.
    """

    n: int = 4
    seed: int = 0
    recipe: SamplingRecipe | None = None
    upsampling: SamplingRecipe | None = None
    tiling: Tiling | None = None
    size: tuple[int, int] | None = None
    progress: Callable[[int, int], None] | None = None


MASKING = "masking"
"""Customary name of the condition that tells what is known of a picture."""

DEFAULTS = TaskSettings()
"""What a task takes that is told nothing."""


class TaskNeedsError(UnknownConditionError):
    """A task needs a condition that the model was not trained with."""

    def __init__(self, task: str, names: Iterable[str], known: Iterable[str]):
        wanted = " and ".join(repr(name) for name in names)
        Exception.__init__(
            self,
            f"Editing by {task}: it needs {wanted}, and this model was trained with "
            f"{', '.join(known) or 'no condition'}. Next: use a model that was trained with it.",
        )


def require(composer: Composer, task: str, *names: str) -> None:
    """Refuse a task whose conditions the model lacks.

    Raises:
        TaskNeedsError: The model lacks one of them.
    """
    if lacking := [name for name in names if name not in composer.names]:
        raise TaskNeedsError(task, lacking, composer.names)


def require_any(composer: Composer, task: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that the model knows.

    Raises:
        TaskNeedsError: It knows none.
    """
    names = list(names)
    if not (found := [name for name in names if name in composer.names]):
        raise TaskNeedsError(task, [" or ".join(names)], composer.names)
    return found


def parts_of(
    composer: Composer,
    source: Source,
    names: Iterable[str] | None = None,
    *,
    task: str,
    caption: str = "",
    seed: int = 0,
) -> Parts:
    """Named parts of a source, or all that can be had.

    Args:
        composer: Its extractors take pictures apart.
        source: See `Source`.
        names: Which; None takes all that the source holds or, of a picture, all that do not lack
            their weights.
        task: For messages.
        caption: Goes with a picture.
        seed: Of conditions that draw at random.

    Raises:
        TaskNeedsError: The model does not know a name.
        UserInputError: The source is no picture, or holds no such part.
    """
    if names is not None:
        names = list(names)
        require(composer, task, *names)
    if isinstance(source, str | Path) and str(source).endswith(".safetensors"):
        source = Parts.load(source)
    if isinstance(source, Parts):
        return source if names is None else source.only(*names, origin="a source")
    if names is None:
        return composer.decomposer.decompose_available(source, caption=caption, seed=seed)[0]
    return composer.decompose(source, names=names, caption=caption, seed=seed)


def captioned(composer: Composer, text: str, *, task: str) -> Parts:
    """A text as a part.

    Raises:
        TaskNeedsError: The model reads no captions.
        UserInputError: There is no text.
    """
    require(composer, task, "caption")
    if not text.strip():
        raise UserInputError(
            f"Editing by {task}: expected a caption, found an empty one. Next: say what the "
            f"pictures are to show."
        )
    return composer.read("caption", text)


def picture_of(
    source: Source, *, task: str, why: str = "are walked back to noise"
) -> str | Path | Image.Image:
    """A source whose pixels a task needs.

    Args:
        source: See `Source`.
        task: For messages.
        why: What becomes of its pixels, for messages.

    Raises:
        UserInputError: It holds parts, not pixels.
    """
    if isinstance(source, Parts) or str(source).endswith(".safetensors"):
        raise UserInputError(
            f"Editing by {task}: expected a picture, whose pixels {why}, found parts "
            f"of one. Next: give the picture itself."
        )
    return source


def inverting_recipe(settings: TaskSettings, *, task: str) -> SamplingRecipe:
    """The recipe of a task that inverts.

    Raises:
        UserInputError: The one given does not walk the inversion's way back.
    """
    recipe = settings.recipe or INVERTING
    if recipe.sampler != "ddim" or recipe.eta:
        raise UserInputError(
            f"Editing by {task}: a picture is walked back to noise and drawn anew by DDIM without "
            f"noise, found sampler {recipe.sampler} and eta {recipe.eta:g}. Next: leave sampler "
            f"and eta out of the recipe."
        )
    return recipe


def check_weights(
    composer: Composer,
    recipe: SamplingRecipe,
    given: Iterable[str],
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Refuse, before any network runs, what drawing would refuse of a recipe's conditions.

    Args:
        composer: The model.
        recipe: What is looked at.
        given: Conditions that will have a part; one of surroundings may be added by `within`.
        size: Height and width before upsampling; None is the model's own.

    Raises:
        UnknownConditionError: The model does not know one of them.
        UserInputError: No part of one is given, or its region is none.
    """
    later = [MASKING] if MASKING in composer.names else []
    whole = size or (composer.side, composer.side)
    check_request(composer.model, composer.cascade, n=1, size=whole)
    check_conditions(recipe, given=[*given, *later], known=composer.names, size=whole)


def drawing_of(
    settings: TaskSettings,
    parts: Parts,
    *,
    task: str,
    recipe: SamplingRecipe | None = None,
    against: Parts | None = None,
    noise: Tensor | None = None,
) -> Drawing:
    """The drawing of a task under common settings."""
    return Drawing(
        parts=parts,
        against=Parts({}) if against is None else against,
        recipe=recipe or settings.recipe or FROM_NOISE,
        upsampling=settings.upsampling,
        tiling=settings.tiling,
        n=settings.n,
        seed=settings.seed,
        size=settings.size,
        noise=noise,
        task=task,
    )


def bidirectional(
    composer: Composer,
    picture: Source,
    before: Parts,
    after: Parts,
    *,
    settings: TaskSettings,
    task: str,
) -> Drawing:
    """Walk a picture back to noise under its own parts, then draw under changed ones.

    The change is the difference between the two sets, which guidance enlarges (paper, bidirectional
    guidance). Nothing is drawn at random, so there is one picture, whatever `settings.n` says.

    Args:
        composer: The model.
        picture: What is changed.
        before: The set c1: parts that are true of the picture.
        after: The set c2.
        settings: See there.
        task: For messages and the record.

    Raises:
        UserInputError: The picture is none, or the recipe does not walk back, or says how much a
            condition counts that is not given.
    """
    recipe = inverting_recipe(settings, task=task)
    check_weights(composer, recipe, after, size=settings.size)
    noise = composer.invert(
        picture_of(picture, task=task),
        before,
        recipe=recipe,
        size=settings.size,
        progress=settings.progress,
    )
    one = replace(settings, n=1)
    return drawing_of(one, after, task=task, recipe=recipe, against=before, noise=noise)
