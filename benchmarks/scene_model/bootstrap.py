"""Intervals of `composer_pl.evaluation.intervals` as short lists, for tables and JSON."""

from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.evaluation.intervals import (
    Interval,
    interval_of,
    mean_of,
    resampled_means,
)


def interval(draws: Float[Tensor, " draws"], estimate: float) -> list[float]:
    """[estimate, low, high] of 95%, from draws of a statistic; undefined draws are left out."""
    return listed(interval_of(draws, estimate))


def mean_interval(
    values: Float[Tensor, " n"], clusters: Int[Tensor, " n"] | None = None, *, seed: int = 0
) -> list[float]:
    """[mean, low, high] of one measure."""
    return interval(resampled_means({"": values}, clusters, seed=seed)[""], mean_of(values))


def listed(found: Interval) -> list[float]:
    """[value, low, high] with four decimals."""
    return [round(found.value, 4), round(found.low, 4), round(found.high, 4)]


def shown(numbers: list[float], *, percent: bool = False) -> str:
    """A number with its interval, for a table."""
    if percent:
        return "{:.0%} [{:.0%}, {:.0%}]".format(*numbers)
    return "{:.3f} [{:.3f}, {:.3f}]".format(*numbers)
