"""Means with bootstrap intervals, by picture or by cluster; arms of the same pictures stay paired.

Percentile intervals (Efron 1979): 95% of the means of resamples of the pictures lie between the two
ends. They hold over pictures and say nothing of another training run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

RESAMPLES = 2000
SHARE = 0.95
"""Share of the resamples within an interval."""

_AT_ONCE = 4_000_000
"""Drawn groups that are held at a time; 2,000 resamples of 30,000 pictures would take 1.4 GB."""


@dataclass(frozen=True)
class Interval:
    """A number and the ends of its 95% interval; NaN where nothing was defined."""

    value: float
    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        """Whether a number lies within the interval, its ends included."""
        return self.low <= number <= self.high


def mean_of(values: Float[Tensor, " n"]) -> float:
    """Mean of what is defined; NaN where nothing is."""
    return float(values.double().nanmean())


def resampled_means(
    values: Mapping[str, Float[Tensor, " n"]],
    clusters: Int[Tensor, " n"] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Float[Tensor, " resamples"]]:
    """Draw means of several measures of the same pictures, all from the same resamples.

    Args:
        values: Measures by name, one number a picture; NaN is undefined and left out.
        clusters: Which group each picture belongs to: whole groups are drawn; None draws single
            pictures.
        resamples: How many.
        seed: Of the resamples.
    """
    count = len(next(iter(values.values())))
    if clusters is None:
        clusters = torch.arange(count)
    _, label = clusters.cpu().unique(return_inverse=True)
    groups = int(label.max()) + 1 if count else 0
    generator = torch.Generator().manual_seed(seed)
    sums = {}
    for name, given in values.items():
        value = given.detach().cpu().double()
        defined = value.isfinite()
        empty = torch.zeros(groups, dtype=torch.float64)
        total = empty.scatter_add(0, label, torch.where(defined, value, 0.0))
        sums[name] = total, empty.scatter_add(0, label, defined.double())
    parts: dict[str, list[Tensor]] = {name: [] for name in values}
    for rows in torch.arange(resamples).split(max(1, _AT_ONCE // max(groups, 1))):
        weights = torch.zeros(len(rows), groups, dtype=torch.float64)
        if groups:
            chosen = torch.randint(groups, (len(rows), groups), generator=generator)
            weights.scatter_add_(1, chosen, weights.new_ones(1, 1).expand_as(chosen))
        for name, (total, number) in sums.items():
            parts[name].append((weights @ total) / (weights @ number))
    return {name: torch.cat(part) for name, part in parts.items()}


def interval_of(draws: Float[Tensor, " n"], value: float) -> Interval:
    """The interval of a statistic whose resamples are given; undefined ones are left out."""
    draws = draws[draws.isfinite()].double()
    if not len(draws):
        return Interval(value, float("nan"), float("nan"))
    ends = torch.tensor([(1 - SHARE) / 2, (1 + SHARE) / 2], dtype=draws.dtype)
    low, high = draws.quantile(ends).tolist()
    return Interval(value, low, high)


def mean_interval(
    values: Float[Tensor, " n"],
    *,
    clusters: Int[Tensor, " n"] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean of one measure; NaN is undefined and left out."""
    draws = resampled_means({"": values}, clusters, resamples=resamples, seed=seed)[""]
    return interval_of(draws, mean_of(values))


def way_interval(
    alone: Float[Tensor, " n"],
    floor: Float[Tensor, " n"],
    ceiling: Float[Tensor, " n"],
    *,
    own_floor: Float[Tensor, " n"] | None = None,
    clusters: Int[Tensor, " n"] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """How far a score lies on the way from floor to ceiling: (alone - floor) / (ceiling - floor).

    0 is the floor, 1 the ceiling; NaN where both are equal. Pictures are resampled jointly.

    Args:
        alone: Score of each picture.
        floor: Score of pictures that cannot know, such as the same ones against other conditions.
        ceiling: Score of the true pictures.
        own_floor: What `alone` starts from where that is another floor than the way's.
        clusters: As of `resampled_means`.
        resamples: How many.
        seed: Of the resamples.
    """
    start = floor if own_floor is None else own_floor
    values = {"alone": alone, "floor": floor, "ceiling": ceiling, "start": start}
    draws = resampled_means(values, clusters, resamples=resamples, seed=seed)
    means = {name: mean_of(value) for name, value in values.items()}
    length = means["ceiling"] - means["floor"]
    gained = means["alone"] - means["start"]
    lengths = draws["ceiling"] - draws["floor"]
    ways = torch.where(lengths == 0, torch.nan, (draws["alone"] - draws["start"]) / lengths)
    return interval_of(ways, gained / length if length else float("nan"))
