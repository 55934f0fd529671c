"""The kernel distance between two sets of features (Binkowski 2018, KID).

Unbiased, so that its expectation does not depend on how many pictures there are, as that of the
Frechet distance does; it is what to report below 10,000 pictures.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import UserInputError

OVER_SUBSETS = "over subsets of pictures, one standard deviation"
SUBSET_SIZES = (1000, 500, 200, 100, 50, 20, 10, 5, 2)
"""Sizes of subsets below the one asked for, where pictures are few."""


def subset_size(wanted: int, pictures: int) -> int:
    """Pictures of a subset of the kernel distance: what is asked for, or the next size that fits.

    At most half of the pictures where there are four: subsets that share most of their pictures
    agree whatever the pictures are, and their spread says nothing. The sizes are few, so that runs
    of a few more or fewer pictures can be compared.
    """
    most = max(pictures // 2, 2)
    if wanted <= most:
        return wanted
    return next(size for size in SUBSET_SIZES if size <= most)


def kernel_distance(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    *,
    size: int,
    subsets: int,
    seed: int,
) -> tuple[float, float]:
    """Squared maximum mean discrepancy under the kernel (x.y / d + 1)^3.

    Args:
        a: Features of one set.
        b: Features of the other, from the same network.
        size: Pictures of each set in a subset, drawn without repetition.
        subsets: How many subsets are drawn.
        seed: Of the draws.

    Returns:
        Mean, and standard deviation over the subsets (their spread, not that of the mean). The
        mean can be a little below zero for sets that are alike.

    Raises:
        UserInputError: A set is smaller than a subset, or the sizes make no sense.
    """
    if size < 2 or subsets < 1:
        raise UserInputError(
            f"Computing the kernel distance: expected subsets of at least 2 pictures and at least "
            f"1 subset, found {subsets} of {size}. Next: correct them."
        )
    if min(len(a), len(b)) < size:
        raise UserInputError(
            f"Computing the kernel distance: expected at least {size} pictures in each set (the "
            f"size of a subset), found {len(a)} and {len(b)}. Next: add pictures, or ask for "
            f"subsets of {min(len(a), len(b))}."
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise UserInputError(
            "Computing the kernel distance: expected finite features, found NaN or infinity. "
            "Next: look at the pictures and the network's weights."
        )
    generator = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(subsets):
        rows_a = torch.randperm(len(a), generator=generator)[:size]
        rows_b = torch.randperm(len(b), generator=generator)[:size]
        values.append(discrepancy(a[rows_a], b[rows_b]))
    found = torch.tensor(values, dtype=torch.float64)
    return float(found.mean()), float(found.std(correction=0))


def discrepancy(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> float:
    """The unbiased estimate from two sets of one size, in float64."""
    a, b = a.double(), b.double()
    count = len(a)
    within = sum(kernel.sum() - kernel.trace() for kernel in (_kernel(a, a), _kernel(b, b)))
    across = _kernel(a, b).sum()
    return float(within / (count * (count - 1)) - 2 * across / count**2)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3
