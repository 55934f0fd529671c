"""The one sampling recipe of previews, command line, Python and evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.guidance import Denoiser, guided
from composer_pl.diffusion.samplers import Progress, ddim, dpmpp_2m
from composer_pl.diffusion.schedule import NoiseSchedule
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.randomness import derive_key, keyed_normal
from composer_pl.types import ConditionSignals


@dataclass(frozen=True, kw_only=True)
class SamplingRecipe:
    """How pictures are drawn from a model.

    Attributes:
        sampler: `dpmpp_2m` (DPM-Solver++(2M), uniform log-SNR spacing) or `ddim`.
        steps: Network evaluations, each of two branches when guided.
        guidance: w of eps = w eps(c2) + (1 - w) eps(c1); 1 means no guidance (paper: 3.0 on COCO).
        eta: Noise of DDIM: 0 deterministic, 1 as noisy as ancestral sampling.
        clip_x_0: Clamp each step's estimate of x_0 to [-1, 1].
        max_batch: Most pictures run through the network at once.
    """

    sampler: Literal["dpmpp_2m", "ddim"] = "dpmpp_2m"
    steps: int = 25
    guidance: float = 3.0
    eta: float = 0.0
    clip_x_0: bool = True
    max_batch: int = 16

    def __post_init__(self) -> None:
        """Refuse what no sampler can do.

        Raises:
            UserInputError: A setting is out of its range.
        """
        if not 1 <= self.steps <= 1000:
            problem = f"steps must be in 1..1000, found {self.steps}"
        elif not isfinite(self.guidance):
            problem = f"guidance must be a finite number, found {self.guidance}"
        elif not 0 <= self.eta <= 1:
            problem = f"eta must be in 0..1, found {self.eta}"
        elif self.eta and self.sampler != "ddim":
            problem = f"eta needs sampler ddim, found eta {self.eta} with {self.sampler}"
        elif self.max_batch < 1:
            problem = f"max_batch must be at least 1, found {self.max_batch}"
        else:
            return
        raise UserInputError(f"Setting the sampling recipe: {problem}. Next: correct it.")


def sample_keys(seed: int, count: int) -> Int[Tensor, " b"]:
    """Keys of `count` pictures of one seed: picture i is the same however many are asked for."""
    return torch.tensor([derive_key(seed, "picture", i) for i in range(count)], dtype=torch.int64)


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
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b 3 h w"]:
    """Draw one picture for each key.

    A picture depends on its key, its values and the recipe alone; the number of pictures drawn
    together changes it only by the rounding of batched kernels: below 1e-3 in float32, an eighth
    of a grey level (measured: 1e-4 at guidance 8).

    Args:
        model: On its device, in evaluation mode.
        values: For each condition either one value for all pictures (first axis 1), or one for each
            key. A set whose values are all shared is encoded once for all pictures, any other once
            for each picture.
        recipe: How to sample.
        keys: One key a picture; the starting noise x_T is a pure function of it.
        size: Height and width of the pictures, divisible by what the backbone asks for.
        keep: Conditions of the set c2; None keeps all of `values`.
        against: The set c1 that guidance moves away from: names of conditions in `values`, or
            values of its own, such as another caption. Empty is unconditional.
        progress: Called with (finished steps, all steps).

    Returns:
        Pictures in [-1, 1] on the model's device.

    Raises:
        UserInputError: There are neither one value nor as many values as keys.
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
        denoise = guided(
            model.predict,
            encode_c2(rows),
            encode_c1(rows) if recipe.guidance != 1 else None,
            recipe.guidance,
            model.process,
            clip_x_0=recipe.clip_x_0,
        )
        x_t = keyed_normal(chunk, "x_T", (model.config.in_channels, *size)).to(device)

        def report(step: int, steps: int, done: int = number * recipe.steps) -> None:
            if progress is not None:
                progress(done + step, total)

        drawn = solve(denoise, x_t, model.process.schedule, recipe, keys=chunk, progress=report)
        pictures.append(drawn)
    return torch.cat(pictures).clamp(-1, 1)


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
) -> Callable[[slice], ConditionSignals]:
    """A function from rows of pictures to their signals; what is shared is encoded here, once.

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

    def encode(given: Mapping[str, Tensor], count: int) -> ConditionSignals:
        keep = model.keep(list(given), count)
        return model.encode({n: v.to(device) for n, v in given.items()}, keep.to(device))

    if not chosen:
        return lambda rows: ConditionSignals()
    if all(len(value) == 1 for value in chosen.values()):
        shared = encode(chosen, 1)
        return lambda rows: _repeated(shared, rows.stop - rows.start)

    def each(rows: slice) -> ConditionSignals:
        count = rows.stop - rows.start
        return encode(
            {
                n: v.expand(count, *v.shape[1:]) if len(v) == 1 else v[rows]
                for n, v in chosen.items()
            },
            count,
        )

    return each


def _repeated(signals: ConditionSignals, copies: int) -> ConditionSignals:
    """The signals of one picture for several that share them, without copying."""
    parts = {field.name: getattr(signals, field.name) for field in fields(signals)}
    return ConditionSignals(
        **{
            name: None if part is None else part.expand(copies, *part.shape[1:])
            for name, part in parts.items()
        }
    )
