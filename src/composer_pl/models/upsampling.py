"""Sampling of large pictures from small ones, keyed as `models/sampling.py` is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.guidance import combined
from composer_pl.errors import UserInputError
from composer_pl.models.mixing import mixture_function
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import row_encoder, solve
from composer_pl.models.tiling import Tiling, check_tiling, tiled
from composer_pl.models.upsampler import UpsamplerModel, requantised
from composer_pl.randomness import derive_key, keyed_normal
from composer_pl.types import ConditionSignals

UPSAMPLING = SamplingRecipe(steps=15, guidance=1.0)
"""How pictures are upsampled unless told otherwise (paper: 20 steps, no guidance)."""


@torch.no_grad()
def upsample(
    model: UpsamplerModel,
    low: Float[Tensor, "b 3 h w"],
    recipe: SamplingRecipe = UPSAMPLING,
    *,
    keys: Int[Tensor, " keys"],
    level: float | None = None,
    values: Mapping[str, Tensor] | None = None,
    tiling: Tiling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b 3 big_h big_w"]:
    """Draw a large picture for each small one.

    A picture depends on its key, its small picture, its values, the level and the recipe alone; the
    batch changes it by the rounding of batched kernels only, as in `sample`.

    Args:
        model: On its device, in evaluation mode.
        low: Small pictures in [-1, 1]; rounded to 8 bits first, as GLIDE does, so that a picture
            read from its file gives the same.
        recipe: How to sample. Guidance other than 1 moves away from no condition; a model without
            `values` has nothing to move away from and is run once a step. What it says of
            conditions that are not given has no effect.
        keys: One key a picture, from which its noise is drawn; the key that drew the small picture
            will do, as other noise is drawn from it.
        level: Noise level of the small pictures; None takes the model's setting.
        values: Values of conditions, one for all pictures (first axis 1) or one for each.
        tiling: Run the network on tiles of this size, in less memory; None on whole pictures.
        progress: Called with (finished steps, all steps).

    Returns:
        Pictures in [-1, 1] on the model's device, `factor` times the size of `low`.

    Raises:
        UserInputError: The sizes do not suit the network, the level is one that training did not
            draw, tiles or recipe do not suit the network, or there are neither one value nor as
            many values as keys.
    """
    level = model.upsampling.level if level is None else level
    _check(model, low, keys, level)
    check_manner(model, recipe, tiling)
    device = next(model.parameters()).device
    given = {} if values is None else dict(values)
    encode = row_encoder(model, given, len(keys))
    own_keys = torch.tensor([derive_key(int(key), "upsampler") for key in keys], dtype=torch.int64)
    factor = model.upsampling.factor
    size = (low.shape[2] * factor, low.shape[3] * factor)
    total = recipe.steps * -(-len(keys) // recipe.max_batch)
    pictures = [torch.zeros(0, 3, *size, device=device)]
    for number, start in enumerate(range(0, len(keys), recipe.max_batch)):
        rows = slice(start, min(start + recipe.max_batch, len(keys)))
        chunk = own_keys[rows]
        small = requantised(low[rows].to(device))
        levels = torch.full((len(chunk),), level, device=device)
        noise = keyed_normal(chunk, "low", tuple(small.shape[1:])).to(device)
        enlarged = model.enlarge(model.noised(small, levels, noise))

        def predict(
            x_t: Tensor, t: Tensor, signals: ConditionSignals, enlarged: Tensor = enlarged
        ) -> Tensor:
            beside = enlarged.repeat(len(x_t) // len(enlarged), 1, 1, 1)
            if tiling is None:
                return model.predict(x_t, t, beside, signals)

            def part(tile: Tensor, where: tuple[slice, slice]) -> Tensor:
                rows, columns = where
                hint = None if signals.hint is None else signals.hint[:, :, rows, columns]
                return model.predict(
                    tile, t, beside[:, :, rows, columns], replace(signals, hint=hint)
                )

            return tiled(part, x_t, tiling, multiple=model.config.side_multiple)

        def report(step: int, steps: int, done: int = number * recipe.steps) -> None:
            if progress is not None:
                progress(done + step, total)

        mixture_at = mixture_function(
            recipe,
            c2=list(given),
            c1=[] if given else None,
            encode_c2=partial(encode, rows),
            encode_c1=partial(encode, rows),
            samples=len(chunk),
            size=size,
            num_timesteps=model.process_config.num_timesteps,
            device=device,
            told=partial(model.with_level, level=levels),
        )
        denoise = combined(
            predict,
            mixture_at,
            model.process,
            # Residuals are no pictures: their range is not that of pixels.
            clip_x_0=recipe.clip_x_0 and not model.upsampling.residual,
            threshold=recipe.threshold,
            rescale=recipe.rescale,
        )
        x_T = keyed_normal(chunk, "x_T", (3, *size)).to(device)
        schedule = model.process.schedule
        drawn = solve(denoise, x_T, schedule, recipe, keys=chunk, progress=report)
        pictures.append(model.undiffused(drawn, small))
    return torch.cat(pictures).clamp(-1, 1)


def low_multiple(model: UpsamplerModel) -> int:
    """What the sides of small pictures must be divisible by."""
    multiple, factor = model.config.side_multiple, model.upsampling.factor
    return next(side for side in range(1, multiple + 1) if side * factor % multiple == 0)


def check_manner(model: UpsamplerModel, recipe: SamplingRecipe, tiling: Tiling | None) -> None:
    """Refuse a recipe or tiles that an upsampler cannot work by.

    Raises:
        UserInputError: It is such a one.
    """
    if recipe.threshold is not None and model.upsampling.residual:
        raise UserInputError(
            f"Upsampling pictures: expected no threshold, which is for the range of pictures, as "
            f"this upsampler draws what they lack, found {recipe.threshold}. Next: leave threshold "
            f"out of its recipe."
        )
    if tiling is not None:
        check_tiling(tiling, model.config.side_multiple)


def _check(model: UpsamplerModel, low: Tensor, keys: Tensor, level: float) -> None:
    multiple = low_multiple(model)
    height, width = low.shape[2:]
    if len(low) != len(keys):
        problem, advice = f"one key a picture, found {len(keys)} for {len(low)}", "give as many"
    elif height % multiple or width % multiple or not height or not width:
        problem = f"sides that are multiples of {multiple}, found {height}x{width}"
        advice = "give pictures of other sides"
    elif not 0 <= level <= model.upsampling.max_level:
        problem = f"a level in 0..{model.upsampling.max_level}, as trained, found {level}"
        advice = "correct it"
    else:
        return
    raise UserInputError(f"Upsampling pictures: expected {problem}. Next: {advice}.")
