"""Pictures from a model by a recipe, and the noise that a picture came from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.guidance import Denoiser, combined
from composer_pl.diffusion.samplers import Progress, ddim, ddim_invert, dpmpp_2m
from composer_pl.diffusion.schedule import NoiseSchedule
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.mixing import mixture_function
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.randomness import derive_key, keyed_normal
from composer_pl.types import ConditionSignals


def sample_keys(seed: int, count: int, *, first: int = 0) -> Int[Tensor, " b"]:
    """Keys of `count` pictures of one seed: picture i is the same however many are asked for.

    Args:
        seed: The seed.
        count: How many.
        first: Number i of the first of them.
    """
    numbers = range(first, first + count)
    return torch.tensor([derive_key(seed, "picture", i) for i in numbers], dtype=torch.int64)


@torch.no_grad()
def sample(
    model: ComposerModel,
    values: Mapping[str, Tensor],
    recipe: SamplingRecipe,
    *,
    keys: Int[Tensor, " b"],
    size: tuple[int, int],
    keep: Sequence[str] | None = None,
    against: Sequence[str] | Mapping[str, Tensor] = (),
    noise: Float[Tensor, "#b c h w"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b c h w"]:
    """Draw one picture for each key.

    A picture depends on its key, its values and the recipe alone; the number of pictures drawn
    together changes it only by the rounding of batched kernels: below 1e-3 in float32, an eighth
    of a grey level (measured: 1e-4 at guidance 8).

    Args:
        model: On its device, in evaluation mode.
        values: For each condition either one value for all pictures (first axis 1), or one for each
            key. A set whose values are all shared is encoded once for all pictures, any other once
            for each picture.
        recipe: How to sample. What it says of conditions that are not given has no effect.
        keys: One key a picture; the starting noise x_T is a pure function of it.
        size: Height and width of the pictures, divisible by what the backbone asks for.
        keep: Conditions of the set c2; None keeps all of `values`.
        against: The set c1 that guidance moves away from: names of conditions in `values`, or
            values of its own, such as another caption. Empty is unconditional.
        noise: x_T to begin with instead, one for all or one for each key.
        progress: Called with (finished steps, all steps).

    Returns:
        Pictures in [-1, 1] on the model's device.

    Raises:
        UserInputError: There are neither one value nor as many values as keys, or the recipe
            weighs too many conditions.
    """
    device = next(model.parameters()).device
    c2 = {name: value for name, value in values.items() if keep is None or name in keep}
    c1 = (
        dict(against)
        if isinstance(against, Mapping)
        else {name: value for name, value in values.items() if name in against}
    )
    encode_c2, encode_c1 = (row_encoder(model, chosen, len(keys)) for chosen in (c2, c1))
    total = recipe.steps * -(-len(keys) // recipe.max_batch)
    pictures = [torch.zeros(0, model.config.in_channels, *size, device=device)]
    for number, start in enumerate(range(0, len(keys), recipe.max_batch)):
        rows = slice(start, min(start + recipe.max_batch, len(keys)))
        chunk = keys[rows]
        mixture_at = mixture_function(
            recipe,
            c2=list(c2),
            c1=list(c1) if recipe.guidance != 1 else None,
            encode_c2=partial(encode_c2, rows),
            encode_c1=partial(encode_c1, rows),
            samples=len(chunk),
            size=size,
            num_timesteps=model.process_config.num_timesteps,
            device=device,
        )
        denoise = combined(
            model.predict,
            mixture_at,
            model.process,
            clip_x_0=recipe.clip_x_0,
            threshold=recipe.threshold,
            rescale=recipe.rescale,
        )
        if noise is None:
            x_T = starting_noise(chunk, model.config.in_channels, size).to(device)
        else:
            own = noise.expand(len(chunk), *noise.shape[1:]) if len(noise) == 1 else noise[rows]
            x_T = own.to(device, torch.float32)

        def report(step: int, steps: int, done: int = number * recipe.steps) -> None:
            if progress is not None:
                progress(done + step, total)

        drawn = solve(denoise, x_T, model.process.schedule, recipe, keys=chunk, progress=report)
        pictures.append(drawn)
    return torch.cat(pictures).clamp(-1, 1)


def starting_noise(
    keys: Int[Tensor, " b"], channels: int, size: tuple[int, int]
) -> Float[Tensor, "b c h w"]:
    """x_T of each key, on the CPU."""
    return keyed_normal(keys, "x_T", (channels, *size))


@torch.no_grad()
def invert(
    model: ComposerModel,
    x_0: Float[Tensor, "b c h w"],
    values: Mapping[str, Tensor],
    recipe: SamplingRecipe,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b c h w"]:
    """The noise that a picture came from: DDIM inversion under c1 (paper, section 2).

    The first half of bidirectional guidance. `sample` with the sampler `ddim`, eta 0, the same
    steps and no guidance walks back to the picture under the same values.

    Args:
        model: On its device, in evaluation mode.
        x_0: Pictures in [-1, 1].
        values: The set c1, one value for all pictures or one for each; may be empty.
        recipe: Its steps, `max_batch`, and what it says of single conditions are read; guidance is
            1 and nothing is clamped, as a clamp loses what should come back.
        progress: Called with (finished steps, all steps).

    Raises:
        UserInputError: There are neither one value nor as many values as pictures.
    """
    device = next(model.parameters()).device
    encode = row_encoder(model, values, len(x_0))
    total = recipe.steps * -(-len(x_0) // recipe.max_batch)
    noises = [torch.zeros(0, *x_0.shape[1:], device=device)]
    for number, start in enumerate(range(0, len(x_0), recipe.max_batch)):
        rows = slice(start, min(start + recipe.max_batch, len(x_0)))
        mixture_at = mixture_function(
            recipe,
            c2=list(values),
            c1=None,
            encode_c2=partial(encode, rows),
            encode_c1=partial(encode, rows),
            samples=rows.stop - rows.start,
            size=(x_0.shape[2], x_0.shape[3]),
            num_timesteps=model.process_config.num_timesteps,
            device=device,
        )

        def report(step: int, steps: int, done: int = number * recipe.steps) -> None:
            if progress is not None:
                progress(done + step, total)

        noises.append(
            ddim_invert(
                combined(model.predict, mixture_at, model.process, clip_x_0=False),
                x_0[rows].to(device),
                model.process.schedule,
                steps=recipe.steps,
                progress=report,
            )
        )
    return torch.cat(noises)


def solve(
    denoise: Denoiser,
    x_T: Float[Tensor, "b c h w"],
    schedule: NoiseSchedule,
    recipe: SamplingRecipe,
    *,
    keys: Int[Tensor, " b"],
    progress: Progress | None = None,
) -> Float[Tensor, "b c h w"]:
    """Walk from noise to pictures with the recipe's sampler, in one batch.

    Args:
        denoise: The denoiser.
        x_T: Standard normal noise.
        schedule: The schedule that the network was trained with.
        recipe: Sampler, steps and eta; guidance and clipping are the denoiser's own.
        keys: One key a sample, from which DDIM's noise is drawn.
        progress: Called with (finished steps, all steps).
    """
    if recipe.sampler == "ddim":
        return ddim(
            denoise,
            x_T,
            schedule,
            steps=recipe.steps,
            eta=recipe.eta,
            keys=keys,
            progress=progress,
        )
    return dpmpp_2m(denoise, x_T, schedule, steps=recipe.steps, progress=progress)


def row_encoder(
    model: ComposerModel | UpsamplerModel, chosen: Mapping[str, Tensor], pictures: int
) -> Callable[[slice, Sequence[str]], ConditionSignals]:
    """A function from rows of pictures and names to signals; what is shared is encoded once.

    Raises:
        UserInputError: There are neither one value nor as many values as pictures.
    """
    for name, value in chosen.items():
        if len(value) not in (1, pictures):
            raise UserInputError(
                f"Sampling {pictures} pictures: expected one value of {name!r}, or one for each "
                f"picture, found {len(value)}. Next: give either."
            )
    device = next(model.parameters()).device
    shared: dict[tuple[str, ...], ConditionSignals] = {}

    def encode(given: Mapping[str, Tensor], count: int) -> ConditionSignals:
        keep = model.keep(list(given), count)
        return model.encode({n: v.to(device) for n, v in given.items()}, keep.to(device))

    def of(rows: slice, names: Sequence[str]) -> ConditionSignals:
        given = {name: chosen[name] for name in names}
        if not given:
            return ConditionSignals()
        count = rows.stop - rows.start
        if all(len(value) == 1 for value in given.values()):
            key = tuple(names)
            if key not in shared:
                shared[key] = encode(given, 1)
            return _repeated(shared[key], count)
        own = {
            n: v.expand(count, *v.shape[1:]) if len(v) == 1 else v[rows] for n, v in given.items()
        }
        return encode(own, count)

    return of


def _repeated(signals: ConditionSignals, copies: int) -> ConditionSignals:
    """The signals of one picture for several that share them, without copying."""
    parts = {field.name: getattr(signals, field.name) for field in fields(signals)}
    return ConditionSignals(
        **{
            name: None if part is None else part.expand(copies, *part.shape[1:])
            for name, part in parts.items()
        }
    )
