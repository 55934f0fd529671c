"""Precision and recall of a set of pictures by nearest neighbours (Kynkaanniemi 2019).

Each picture of a set claims the ball that reaches to its k-th neighbour in that set. Precision is
the share of generated pictures in a ball of real ones (what is made looks real); recall is the
share of real ones in a ball of generated ones (what is real can be made).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from composer_pl.errors import UserInputError

_ROWS = 1024
"""Pictures whose distances to a whole set are held at a time."""
_SAME = 1e-12
"""Squared distance, relative to the squared lengths, below which float64 cannot tell two apart."""


def precision_recall(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], *, k: int = 3
) -> tuple[float, float]:
    """Precision and recall of generated pictures.

    Args:
        real: Features of real pictures.
        fake: Features of generated ones, from the same network.
        k: Which neighbour a ball reaches to; the picture itself does not count.

    Returns:
        Precision and recall in [0, 1]. Both depend on how many pictures there are.

    Raises:
        UserInputError: A set has no k-th neighbour.
    """
    near, reached = memberships(real, fake, k=k)
    return float(near.double().mean()), float(reached.double().mean())


def memberships(
    real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], *, k: int = 3
) -> tuple[Bool[Tensor, " m"], Bool[Tensor, " n"]]:
    """Which generated pictures lie among real ones, and which real ones among generated ones.

    Args:
        real: Features of real pictures.
        fake: Features of generated ones, from the same network.
        k: Which neighbour a ball reaches to; the picture itself does not count.

    Returns:
        Their means are precision and recall.

    Raises:
        UserInputError: A set has no k-th neighbour.
    """
    if k < 1 or min(len(real), len(fake)) <= k:
        raise UserInputError(
            f"Computing precision and recall: expected k of at least 1 and more than k pictures in "
            f"each set, found k = {k}, {len(real)} real and {len(fake)} generated ones. Next: add "
            f"pictures, or lower k."
        )
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise UserInputError(
            "Computing precision and recall: expected finite features, found NaN or infinity. "
            "Next: look at the pictures and the network's weights."
        )
    centre = real.double().mean(0)  # distances stay, and lose fewer digits
    real, fake = real.double() - centre, fake.double() - centre
    return _inside(fake, real, _radii(real, k)), _inside(real, fake, _radii(fake, k))


def _radii(points: Tensor, k: int) -> Float[Tensor, " n"]:
    """Squared distance of each point to its k-th neighbour."""
    radii = []
    for first in range(0, len(points), _ROWS):
        apart = _squared(points[first : first + _ROWS], points)
        rows = torch.arange(len(apart), device=apart.device)
        apart[rows, first + rows] = 0.0
        radii.append(apart.kthvalue(k + 1, dim=1).values)
    return torch.cat(radii)


def _inside(points: Tensor, centres: Tensor, radii: Tensor) -> Bool[Tensor, " n"]:
    """Whether each point lies in a ball."""
    return torch.cat([(_squared(part, centres) <= radii).any(1) for part in points.split(_ROWS)])


def _squared(a: Tensor, b: Tensor) -> Float[Tensor, "n m"]:
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    apart = lengths - 2 * a @ b.T
    return torch.where(apart < _SAME * lengths, 0.0, apart)
