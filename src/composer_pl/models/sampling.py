"""The one sampling recipe of previews, command line, Python and evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.guidance import guided
from composer_pl.diffusion.samplers import ddim, dpmpp_2m
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
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
    against: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b 3 h w"]:
    """Draw one picture for each key.

    A picture depends on its key, its values and the recipe alone; the number of pictures drawn
    together changes it only by the rounding of batched kernels (below 1e-4 in float32).

    Args:
        model: On its device, in evaluation mode.
        values: For each condition either one value for all pictures (first axis 1), encoded once,
            or one for each key.
        recipe: How to sample.
        keys: One key a picture; the starting noise x_T is a pure function of it.
        size: Height and width of the pictures, divisible by what the backbone asks for.
        keep: Conditions of the set c2; None keeps all of `values`.
        against: Conditions of the set c1 that guidance moves away from; empty is unconditional.
        progress: Called with (finished steps, all steps).

    Returns:
        Pictures in [-1, 1] on the model's device.
    """
    device = next(model.parameters()).device
    kept = tuple(values) if keep is None else tuple(keep)
    total = recipe.steps * -(-len(keys) // recipe.max_batch)
    shared = all(len(value) == 1 for value in values.values())
    pictures = []
    for number, start in enumerate(range(0, len(keys), recipe.max_batch)):
        chunk = keys[start : start + recipe.max_batch]
        rows = slice(0, 1) if shared else slice(start, start + len(chunk))
        count = 1 if shared else len(chunk)
        picked = {
            name: (value if len(value) == 1 else value[rows]).to(device)
            for name, value in values.items()
            if name in kept or name in against
        }
        if not shared:
            picked = {n: v.expand(count, *v.shape[1:]) for n, v in picked.items()}
        c2 = _encode(model, picked, kept, count, len(chunk))
        c1 = _encode(model, picked, tuple(against), count, len(chunk))
        denoise = guided(
            model.predict, c2, c1, recipe.guidance, model.process, clip_x_0=recipe.clip_x_0
        )
        x_t = keyed_normal(chunk, "x_T", (model.config.in_channels, *size)).to(device)

        def report(step: int, steps: int, done: int = number * recipe.steps) -> None:
            if progress is not None:
                progress(done + step, total)

        schedule = model.process.schedule
        if recipe.sampler == "ddim":
            drawn = ddim(
                denoise,
                x_t,
                schedule,
                steps=recipe.steps,
                eta=recipe.eta,
                keys=chunk,
                progress=report,
            )
        else:
            drawn = dpmpp_2m(denoise, x_t, schedule, steps=recipe.steps, progress=report)
        pictures.append(drawn)
    return torch.cat(pictures).clamp(-1, 1)


def _encode(
    model: ComposerModel, values: Mapping[str, Tensor], keep: Sequence[str], count: int, copies: int
) -> ConditionSignals:
    """Encode once for each value and repeat for the pictures that share it."""
    chosen = {name: value for name, value in values.items() if name in keep}
    if not chosen:
        return ConditionSignals()
    device = next(model.parameters()).device
    signals = model.encode(chosen, model.keep(list(chosen), count).to(device))
    if count == copies:
        return signals
    parts = {field.name: getattr(signals, field.name) for field in fields(signals)}
    return ConditionSignals(
        **{
            name: None if part is None else part.expand(copies, *part.shape[1:])
            for name, part in parts.items()
        }
    )
