"""Quality and diversity of one arm, so that obedience is not bought with collapse."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from composer_pl.evaluation.control.copies import thumbnails, variety
from composer_pl.evaluation.intervals import Interval, mean_interval
from composer_pl.evaluation.metrics.kid import kernel_distance
from composer_pl.evaluation.metrics.neighbours import precision_recall

_NEIGHBOUR = 3
"""Which neighbour's distance is the reach of precision and recall (Kynkaanniemi 2019)."""

Features = Callable[[UInt8[Tensor, "b 3 h w"]], Float[Tensor, "b d"]]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How one arm's pictures look as a set.

    Attributes:
        variety: Mean distance of two of them (root mean square at 32 px), as a share of that of
            the true pictures: 1 is as varied as the truth, 0 all alike.
        kernel: Kernel distance (KID) of features to the true pictures; None without a network.
        precision: Share of the pictures that lie among the true ones in feature space.
        recall: Share of the true ones that lie among the pictures.
        spread: Mean distance of two pictures drawn from one and the same value with other noise,
            as a share of `variety`'s true distance; None where none were drawn twice.
    """

    variety: float
    kernel: float | None
    precision: float | None
    recall: float | None
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
    whole = variety(thumbnails(true))
    share = 1 / whole if whole else float("nan")
    kernel = precision = recall = spread = None
    if features is not None:
        ours, theirs = features(pictures), features(true)
        # All pictures in one subset: the unbiased estimate itself, without a draw.
        kernel, _ = kernel_distance(theirs, ours, size=len(ours), subsets=1, seed=0)
        if len(ours) > _NEIGHBOUR:
            precision, recall = precision_recall(theirs, ours, k=_NEIGHBOUR)
    if again is not None and len(again):
        apart = thumbnails(pictures[: len(again)]) - thumbnails(again)
        spread = mean_interval(apart.square().mean(1).sqrt() * share)
    return Quality(
        variety=variety(thumbnails(pictures)) * share,
        kernel=kernel,
        precision=precision,
        recall=recall,
        spread=spread,
    )
