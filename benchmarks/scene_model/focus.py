"""Which samples a training prefers, beside the usual rule: single conditions, noisy timesteps.

Under the usual rule one sample in forty keeps a given condition alone. A model that is to obey each
condition alone learns that sooner where more samples do; the rest follow the usual rule.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def draw_keep(
    probs: Float[Tensor, " n"],
    batch: int,
    generator: torch.Generator,
    p_drop_all: float,
    p_keep_all: float,
) -> Bool[Tensor, "n b"]:
    """The rule `sample` of `composer_pl.conditions.dropout`, drawn on the device."""
    draws = torch.rand(len(probs) + 1, batch, generator=generator, device=probs.device)
    event, keep = draws[0], draws[1:] >= probs[:, None]
    keep = keep & (event >= p_drop_all)
    return keep | (event >= 1 - p_keep_all)


def draw_focused(
    keep: Bool[Tensor, "n b"],
    names: Sequence[str],
    generator: torch.Generator,
    focus: Mapping[str, float],
) -> Bool[Tensor, "n b"]:
    """Turn shares of a keep mask into samples that keep one condition alone.

    Args:
        keep: Rows in the order of `names`.
        names: Conditions of the model.
        generator: On the mask's device.
        focus: Shares by condition, of sum 1 at most; names that the model does not have are passed
            over.
    """
    keep = keep.clone()
    event = torch.rand(keep.shape[1], generator=generator, device=keep.device)
    low = 0.0
    for name, share in focus.items():
        if name not in names:
            continue
        chosen = (event >= low) & (event < low + share)
        alone = torch.zeros_like(keep)
        alone[list(names).index(name)] = True
        keep = torch.where(chosen, alone, keep)
        low += share
    return keep


def draw_timesteps(
    batch: int, timesteps: int, generator: torch.Generator, noisy: tuple[float, float]
) -> Int[Tensor, " b"]:
    """Draw timesteps, noisy ones more often.

    Args:
        batch: How many.
        timesteps: Of the schedule.
        generator: On the device to draw on.
        noisy: This share lies in the noisiest part, which begins at that share of all.
    """
    share, begin = noisy
    device = generator.device
    uniform = torch.rand(batch, generator=generator, device=device)
    chosen = torch.rand(batch, generator=generator, device=device) < share
    place = torch.where(chosen, begin + (1 - begin) * uniform, uniform)
    return (place * timesteps).long().clamp(max=timesteps - 1)
