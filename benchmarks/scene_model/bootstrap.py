"""Means with bootstrap intervals, by picture or by cluster; paired arms stay paired."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

DRAWS = 2000


def mean_of(values: Float[Tensor, " n"]) -> float:
    """Mean of what is defined; NaN where nothing is."""
    return float(values.double().nanmean())


def resampled_means(
    values: Mapping[str, Float[Tensor, " n"]],
    clusters: Int[Tensor, " n"] | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Float[Tensor, " draws"]]:
    """Draw means of several measures of the same pictures, all from the same resamples.

    Args:
        values: Measures by name, one number a picture; NaN is undefined and left out.
        clusters: Which combination each picture belongs to: whole clusters are drawn; None draws
            single pictures.
        seed: Of the resamples.
        draws: How many.
    """
    count = len(next(iter(values.values())))
    if clusters is None:
        clusters = torch.arange(count)
    _, label = clusters.cpu().unique(return_inverse=True)
    groups = int(label.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(groups, (draws, groups), generator=generator)
    weights = torch.zeros(draws, groups, dtype=torch.float64)
    weights.scatter_add_(1, chosen, torch.ones(draws, groups, dtype=torch.float64))
    means = {}
    for name, given in values.items():
        value = given.cpu().double()
        defined = value.isfinite()
        empty = torch.zeros(groups, dtype=torch.float64)
        total = empty.scatter_add(0, label, torch.where(defined, value, 0.0))
        number = empty.scatter_add(0, label, defined.double())
        means[name] = (weights @ total) / (weights @ number)
    return means


def interval(draws: Float[Tensor, " draws"], estimate: float) -> list[float]:
    """[estimate, low, high] of 95%, from draws of a statistic; undefined draws are left out."""
    draws = draws[draws.isfinite()]
    if not len(draws):
        return [round(estimate, 4), float("nan"), float("nan")]
    low, high = draws.quantile(torch.tensor([0.025, 0.975], dtype=draws.dtype)).tolist()
    return [round(estimate, 4), round(low, 4), round(high, 4)]


def mean_interval(
    values: Float[Tensor, " n"], clusters: Int[Tensor, " n"] | None = None, *, seed: int = 0
) -> list[float]:
    """[mean, low, high] of one measure."""
    return interval(resampled_means({"": values}, clusters, seed=seed)[""], mean_of(values))


def shown(numbers: list[float], *, percent: bool = False) -> str:
    """A number with its interval, for a table."""
    if percent:
        return "{:.0%} [{:.0%}, {:.0%}]".format(*numbers)
    return "{:.3f} [{:.3f}, {:.3f}]".format(*numbers)
