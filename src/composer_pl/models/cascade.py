"""Several upsamplers one after the other, as from 64 over 256 to 1024 px (paper, section 2)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.errors import UserInputError
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.models.upsampling import UPSAMPLING, upsample
from composer_pl.randomness import derive_key

ValuesFor = Callable[[UpsamplerModel, tuple[int, int]], Mapping[str, Tensor]]
"""`(upsampler, (height, width) of what it draws) -> values of its conditions`."""


def check_cascade(models: Sequence[UpsamplerModel]) -> None:
    """Refuse upsamplers of which one does not begin with what the one before it draws.

    Raises:
        UserInputError: They are such, or there is none.
    """
    if not models:
        raise UserInputError(
            "Joining upsamplers: expected at least one, found none. Next: name one, or leave them "
            "out to get pictures of the base model's size."
        )
    for before, after in pairwise(models):
        if after.low_resolution != before.config.resolution:
            raise UserInputError(
                f"Joining upsamplers: expected one from {before.config.resolution} px, which the "
                f"one before it draws, found one from {after.low_resolution} px to "
                f"{after.config.resolution} px. Next: name them from small to large."
            )


def upsample_in_stages(
    models: Sequence[UpsamplerModel],
    low: Float[Tensor, "b 3 h w"],
    recipes: Sequence[SamplingRecipe] | SamplingRecipe = UPSAMPLING,
    *,
    keys: Int[Tensor, " keys"],
    tilings: Sequence[Tiling | None] | Tiling | None = None,
    level: float | None = None,
    values: ValuesFor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b 3 big_h big_w"]:
    """Enlarge pictures by each model in turn; with one model this is `upsample`.

    Args:
        models: From small to large, on their devices, in evaluation mode.
        low: Small pictures in [-1, 1].
        recipes: How to sample, one for all stages or one for each.
        keys: One key a picture; every stage draws noise of its own from it.
        tilings: Tiles, for all stages or for each.
        level: Noise level of the first stage's small pictures; None takes each model's own.
        values: Gives each stage the values of conditions that it takes; None gives none.
        progress: Called with (finished steps, all steps) of all stages together.

    Raises:
        UserInputError: The models do not follow each other, there are neither one recipe or tiling
            nor as many as models, or as `upsample`.
    """
    check_cascade(models)
    each = _for_each(recipes, len(models), "sampling recipes")
    tiles = _for_each(tilings, len(models), "tilings")
    works = [recipe.steps * -(-len(keys) // recipe.max_batch) for recipe in each]
    for stage, (model, recipe, tiling) in enumerate(zip(models, each, tiles, strict=True)):
        own = keys
        if stage:
            own = torch.tensor([derive_key(int(key), "stage", stage) for key in keys])

        def report(step: int, _: int, done: int = sum(works[:stage])) -> None:
            if progress is not None:
                progress(done + step, sum(works))

        factor = model.upsampling.factor
        large = (low.shape[2] * factor, low.shape[3] * factor)
        low = upsample(
            model,
            low,
            recipe,
            keys=own,
            level=None if stage else level,
            values=None if values is None else values(model, large),
            tiling=tiling,
            progress=report,
        )
    return low


def _for_each(given: Any, count: int, what: str) -> list[Any]:
    """One for all, or one for each."""
    found = list(given) if isinstance(given, list | tuple) else [given] * count
    if len(found) != count:
        raise UserInputError(
            f"Upsampling in stages: expected one or {count} {what}, found {len(found)}. "
            f"Next: give one for all stages or one for each."
        )
    return found
