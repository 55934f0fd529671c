"""Quality and diversity of one arm, so that obedience is not bought with collapse."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from composer_pl.evaluation.control.copies import thumbnails, variety
from composer_pl.evaluation.intervals import RESAMPLES, Interval, interval_of, mean_interval
from composer_pl.evaluation.metrics.kid import kernel_distance, subset_size
from composer_pl.evaluation.metrics.neighbours import memberships

_NEIGHBOUR = 3
"""Which neighbour's distance is the reach of precision and recall (Kynkaanniemi 2019)."""

_MOST = 2000
"""Pictures whose distances to each other are taken, the first ones."""

KERNEL_SIZE, KERNEL_SUBSETS = 1000, 100
"""Pictures of a subset of the kernel distance, at most half of them; and how many subsets."""

Features = Callable[[UInt8[Tensor, "b 3 h w"]], Float[Tensor, "b d"]]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How one arm's pictures look as a set, each number with its 95% interval over pictures.

    Attributes:
        variety: Mean distance of two of them (root mean square at 32 px), as a share of that of
            the true pictures: 1 is as varied as the truth, 0 all alike.
        kernel: Kernel distance (KID) of features to the true pictures, and one standard deviation
            over subsets of them to either side; None without a network.
        precision: Share of the pictures that lie among the true ones in feature space, which are
            held fixed.
        recall: Share of the true ones that lie among the pictures, which are held fixed.
        spread: Mean distance of two pictures drawn from one and the same value with other noise,
            as a share of `variety`'s true distance; None where none were drawn twice.
    """

    variety: Interval
    kernel: Interval | None
    precision: Interval | None
    recall: Interval | None
    spread: Interval | None


def quality_of(
    pictures: UInt8[Tensor, "n 3 h w"],
    true: UInt8[Tensor, "n 3 h w"],
    *,
    features: Features | None,
    again: UInt8[Tensor, "m 3 h w"] | None = None,
) -> Quality:
    """Compare an arm's pictures with the true ones.

    Args:
        pictures: Drawn, at least two.
        true: As many true ones, at the same size.
        features: A feature network; None leaves what needs one unmeasured.
        again: Pictures drawn from the first values once more.
    """
    kernel = precision = recall = spread = None
    if features is not None:
        ours, theirs = features(pictures), features(true)
        size = subset_size(KERNEL_SIZE, len(ours))
        value, deviation = kernel_distance(theirs, ours, size=size, subsets=KERNEL_SUBSETS, seed=0)
        kernel = Interval(value, value - deviation, value + deviation)
        if len(ours) > _NEIGHBOUR:
            near, reached = memberships(theirs, ours, k=_NEIGHBOUR)
            precision, recall = mean_interval(near.float()), mean_interval(reached.float())
    if again is not None and len(again):
        whole = variety(thumbnails(true))
        share = 1 / whole if whole else float("nan")
        apart = thumbnails(pictures[: len(again)]) - thumbnails(again)
        spread = mean_interval(apart.square().mean(1).sqrt() * share)
    return Quality(
        variety=_varied(pictures, true),
        kernel=kernel,
        precision=precision,
        recall=recall,
        spread=spread,
    )


def _varied(pictures: UInt8[Tensor, "n 3 h w"], true: UInt8[Tensor, "n 3 h w"]) -> Interval:
    """Mean distance of two pictures over that of two true ones, which are resampled with them.

    A picture that a resample draws twice is no pair with itself.
    """
    tables = [
        torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").double()
        for flat in (thumbnails(some[:_MOST].cpu()) for some in (pictures, true))
    ]
    count = len(tables[0])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(count, (RESAMPLES, count), generator=generator)
    weights = torch.ones(RESAMPLES + 1, count, dtype=torch.float64)  # the first: all, once
    weights[1:] = 0
    weights[1:].scatter_add_(1, drawn, torch.ones(1, 1, dtype=torch.float64).expand_as(drawn))
    ours, theirs = (((weights @ table) * weights).sum(1) for table in tables)
    ratios = torch.where(theirs == 0, torch.nan, ours / theirs)
    return interval_of(ratios[1:], float(ratios[0]))
