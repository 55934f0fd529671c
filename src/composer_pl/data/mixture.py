"""In which order the pictures of several sources are shown: a pure function of (seed, epoch)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from composer_pl.randomness import keyed_generator


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochOrder:
    """The order of one epoch.

    Attributes:
        slots: Which picture is shown, as a position in the sources laid end to end.
        laps: How often that picture was already shown in this epoch; 0 at the first time.
    """

    slots: Int[Tensor, " n"]
    laps: Int[Tensor, " n"]


def epoch_lengths(
    sizes: Sequence[int], weights: Sequence[float], *, minimum: int = 0
) -> tuple[int, ...]:
    """Return how many pictures of each source an epoch shows, the same in every epoch.

    Args:
        sizes: Pictures of each source.
        weights: How often each picture of a source is shown in an epoch.
        minimum: Fewest pictures an epoch may have; fewer are repeated in proportion.
    """
    lengths = [max(1, round(s * w)) if s else 0 for s, w in zip(sizes, weights, strict=True)]
    total = sum(lengths)
    if 0 < total < minimum:
        lengths = [math.ceil(length * minimum / total) for length in lengths]
    return tuple(lengths)


def epoch_order(
    sizes: Sequence[int], lengths: Sequence[int], *, seed: int, epoch: int
) -> EpochOrder:
    """Return a seeded permutation of one epoch's pictures.

    A source that is shown a fractional number of times shows all its pictures the whole number of
    times and a fresh random part of them once more.

    Args:
        sizes: Pictures of each source.
        lengths: Pictures that the epoch takes from each source, see `epoch_lengths`.
        seed: The run's seed.
        epoch: The epoch.
    """
    slots, laps, first = [], [], 0
    for source, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        full, rest = divmod(length, size) if size else (0, 0)
        parts = [torch.arange(size)] * full
        if rest:
            generator = keyed_generator(seed, epoch, "source", source)
            parts.append(torch.randperm(size, generator=generator)[:rest])
        slots += [first + part for part in parts]
        laps += [torch.full_like(part, lap) for lap, part in enumerate(parts)]
        first += size
    generator = keyed_generator(seed, epoch, "order")
    order = torch.randperm(sum(lengths), generator=generator)
    return EpochOrder(slots=torch.cat(slots)[order], laps=torch.cat(laps)[order])
