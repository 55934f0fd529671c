"""Pictures batch by batch: each batch is finished, enlarged too, before the next one is begun."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.composing.cascade import Cascade
from composer_pl.composing.mistakes import check_finite
from composer_pl.composing.parts import Parts
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys
from composer_pl.models.tiling import Tiling
from composer_pl.sheet import to_pil

Batch = tuple[int, list[Image.Image]]
"""Number of the first picture of a batch, and its pictures."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a base model is to draw; checked.

    Attributes:
        parts: What the upsamplers are given too, as far as they know it.
        values: The set c2 as the model takes it.
        against: The set c1 as the model takes it.
        recipe: How to sample.
        n: How many pictures.
        seed: Of their noise.
        size: Height and width.
        noise: x_T to begin with; None is the seed's.
    """

    parts: Parts
    values: Mapping[str, Tensor]
    against: Mapping[str, Tensor]
    recipe: SamplingRecipe
    n: int
    seed: int
    size: tuple[int, int]
    noise: Float[Tensor, "#n 3 h w"] | None


def small_batches(
    model: ComposerModel, request: Request, *, start: int = 0, progress: Progress | None = None
) -> Iterator[Float[Tensor, "b 3 h w"]]:
    """What the base model draws, in [-1, 1] on the CPU.

    Args:
        model: The base model.
        request: What it draws.
        start: Number of the picture to begin with, the first one of a batch.
        progress: Called with (finished steps, all steps).

    Yields:
        The pictures of one batch after the other.

    Raises:
        UserInputError: The model answers NaN.
    """
    recipe, noise, n = request.recipe, request.noise, request.n
    total = recipe.steps * -(-(n - start) // recipe.max_batch)
    for number, first in enumerate(range(start, n, recipe.max_batch)):
        rows = slice(first, min(first + recipe.max_batch, n))

        def report(step: int, _: int, done: int = number * recipe.steps) -> None:
            if progress is not None:
                progress(done + step, total)

        pictures = sample(
            model,
            request.values,
            recipe,
            keys=sample_keys(request.seed, rows.stop - first, first=first),
            size=request.size,
            against=request.against,
            noise=noise if noise is None or len(noise) == 1 else noise[rows],
            progress=report,
        )
        check_finite(pictures, "Composing a picture")
        yield pictures.cpu()


def finished_batches(
    model: ComposerModel,
    cascade: Cascade,
    request: Request,
    *,
    upsampling: SamplingRecipe,
    tiling: Tiling | None = None,
    holding: int = 0,
    progress: Progress | None = None,
) -> Iterator[Batch]:
    """Pictures that are drawn and enlarged.

    Batches are those in which all pictures would be drawn and enlarged together, so that a picture
    is the same to the bit, wherever one begins.

    Args:
        model: The base model.
        cascade: What enlarges.
        request: What the model draws.
        upsampling: How the cascade samples.
        tiling: Tiles to enlarge by; None enlarges pictures whole.
        holding: Begin with the batch that holds the picture of this number.
        progress: Called with (finished steps, all steps).

    Yields:
        One batch after the other.

    Raises:
        UserInputError: A network answers NaN.
    """
    n, recipe = request.n, request.recipe
    together = upsampling.max_batch if cascade else recipe.max_batch
    first = holding // together * together
    begun = first // recipe.max_batch * recipe.max_batch
    work = recipe.steps * -(-(n - begun) // recipe.max_batch)
    total = work + cascade.work(n - first, upsampling)
    drawing = enlarging = 0  # finished steps of either kind

    def report(step: int) -> None:
        if progress is not None:
            progress(drawing + enlarging + step, total)

    def report_drawing(step: int, _: int) -> None:
        nonlocal drawing
        drawing = step
        report(0)

    drawn, waiting = begun, torch.zeros(0)
    for small in small_batches(model, request, start=begun, progress=report_drawing):
        waiting = torch.cat([waiting, small]) if len(waiting) else small[max(first - drawn, 0) :]
        drawn += len(small)
        while len(waiting) >= together or (drawn == n and len(waiting)):
            batch, waiting = waiting[:together], waiting[together:]
            larger = cascade.enlarge(
                batch,
                request.parts,
                seed=request.seed,
                first=first,
                recipe=upsampling,
                tiling=tiling,
                progress=lambda step, _: report(step),
            )
            enlarging += cascade.work(len(batch), upsampling)
            yield first, [to_pil((picture + 1) / 2) for picture in larger]
            first += len(batch)
