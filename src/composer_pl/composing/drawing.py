"""`Drawing`: everything but the model that pictures are made from; every task comes down to one."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.composing.batches import Batch
from composer_pl.composing.composer import Composer
from composer_pl.composing.luma import with_luma
from composer_pl.composing.parts import Parts
from composer_pl.composing.placing import Place, composited, levels
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.tiling import Tiling


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What pictures are made from, as values: nothing is read or drawn at random anew.

    Attributes:
        parts: The set c2.
        against: The set c1 that guidance moves away from.
        recipe: How the base model samples.
        upsampling: How the upsampler samples; None is its default.
        tiling: The tiles that it works in; None is whole pictures.
        n: How many pictures.
        seed: Of the starting noise, and of the upsampler's.
        size: Height and width before upsampling; None is the model's own.
        noise: x_T to begin with; None is the seed's.
        background: A picture in [-1, 1] at the size of the result: what is outside the region.
        inside: 1 where the drawn picture shows, 0 where the background does.
        place: Top, left and side of the square of the background that a picture fills, brought to
            that side; None is all of it.
        luma: Rec. 601 luma in [0, 1] that finished pictures have exactly; where it is larger than
            they are, they are enlarged to it.
        autocast: Type of number that networks run in under autocast, such as "bfloat16"; empty is
            what is active.
        task: What was asked for, for people.
    """

    parts: Parts
    against: Parts = field(default_factory=lambda: Parts({}))
    recipe: SamplingRecipe = field(default_factory=SamplingRecipe)
    upsampling: SamplingRecipe | None = None
    tiling: Tiling | None = None
    n: int = 1
    seed: int = 0
    size: tuple[int, int] | None = None
    noise: Float[Tensor, "#n 3 h w"] | None = None
    background: Float[Tensor, "3 hh ww"] | None = None
    inside: Float[Tensor, "1 hh ww"] | None = None
    place: Place | None = None
    luma: Float[Tensor, "1 hhh www"] | None = None
    autocast: str = ""
    task: str = "compose"


@dataclass(frozen=True, kw_only=True)
class Made:
    """Pictures, and what they were made from."""

    pictures: list[Image.Image]
    drawing: Drawing


def in_precision(composer: Composer, drawing: Drawing) -> Drawing:
    """The drawing with the autocast that is active, under which its pictures will be drawn."""
    kind = composer.device.type
    if drawing.autocast or not torch.is_autocast_enabled(kind):
        return drawing
    return replace(drawing, autocast=str(torch.get_autocast_dtype(kind)).removeprefix("torch."))


def make(
    composer: Composer,
    drawing: Drawing,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Draw, enlarge, and put into the background.

    Args:
        composer: The model.
        drawing: What to make.
        progress: Called with (finished steps, all steps).

    Raises:
        UserInputError: Something of it is not usable with this model; see `Composer.compose`.
    """
    drawing = in_precision(composer, drawing)
    batches = make_batches(composer, drawing, progress=progress)
    return Made(pictures=[one for _, pictures in batches for one in pictures], drawing=drawing)


def make_batches(
    composer: Composer,
    drawing: Drawing,
    *,
    holding: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Batch]:
    """What `make` makes, each batch of pictures as soon as it is finished.

    Args:
        composer: The model.
        drawing: What to make.
        holding: Begin with the batch that holds the picture of this number.
        progress: Called with (finished steps, all steps).

    Yields:
        Number of the first picture of a batch, and its pictures.

    Raises:
        UserInputError: See `make`.
    """
    background, inside, place = drawing.background, drawing.inside, drawing.place
    luma = None if drawing.luma is None else levels(drawing.luma).float() / 255  # as recorded
    batches = composer.batches(
        drawing.parts,
        n=drawing.n,
        seed=drawing.seed,
        recipe=drawing.recipe,
        size=drawing.size,
        against=drawing.against,
        upsampling=drawing.upsampling,
        tiling=drawing.tiling,
        noise=drawing.noise,
        holding=holding,
        progress=progress,
    )
    for first, pictures in _under(drawing.autocast, composer.device, batches):
        if luma is not None:
            pictures = [with_luma(picture, luma) for picture in pictures]
        if background is not None or inside is not None:
            pictures = [composited(picture, background, inside, place) for picture in pictures]
        yield first, pictures


def _under(autocast: str, device: torch.device, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Batches drawn under autocast, of which whoever takes them sees nothing in between."""
    while True:
        dtype = getattr(torch, autocast) if autocast else None
        with torch.autocast(device.type, dtype) if autocast else nullcontext():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
