"""Are generated pictures copies? Nearest training pictures, and how varied pictures are."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

SIDE = 32
"""Pictures are compared at this side."""
_NEAREST = 0.01
"""Share of the unseen pictures that are called near."""


@dataclass(frozen=True, kw_only=True)
class Copies:
    """How near generated pictures, and true ones that were not trained on, come to training ones.

    Distances are root mean squares of pixels in [0, 1] at 32 px.

    Attributes:
        training: Training pictures that were searched.
        drawn_median: Of generated pictures to their nearest training picture.
        drawn_least: The nearest of all.
        unseen_median: Of unseen true pictures to their nearest training picture.
        unseen_least: The nearest of all.
        share_nearer: Share of the generated ones nearer than the nearest hundredth of the unseen.
        share_by_chance: What that would be of further unseen pictures: 0.01 of very many, and more
            of few, where the nearest hundredth lies beyond the nearest one.
        order: Rows of the generated pictures from the nearest on.
        where: The training picture nearest to each generated one.
    """

    training: int
    drawn_median: float
    drawn_least: float
    unseen_median: float
    unseen_least: float
    share_nearer: float
    share_by_chance: float
    order: Int[Tensor, " n"]
    where: Int[Tensor, " n"]


def find_copies(
    drawn: UInt8[Tensor, "n 3 h w"],
    unseen: UInt8[Tensor, "m 3 _h _w"],
    training: UInt8[Tensor, "k 3 _hh _ww"],
) -> Copies:
    """Look for the training picture nearest to each generated one.

    Args:
        drawn: Generated pictures.
        unseen: True pictures that were not trained on.
        training: What was trained on; all three on one device.
    """
    known = thumbnails(training)
    ours, where = nearest(thumbnails(drawn), known)
    theirs, _ = nearest(thumbnails(unseen), known)
    count = len(theirs)
    return Copies(
        training=len(training),
        drawn_median=float(ours.median()),
        drawn_least=float(ours.min()),
        unseen_median=float(theirs.median()),
        unseen_least=float(theirs.min()),
        share_nearer=float((ours < theirs.quantile(_NEAREST)).float().mean()),
        # The quantile lies at 1 + 0.01 (n - 1) in their order, of which each step is 1 / (n + 1).
        share_by_chance=(1 + _NEAREST * (count - 1)) / (count + 1),
        order=ours.argsort().cpu(),
        where=where.cpu(),
    )


def thumbnails(pixels: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3072"]:
    """8-bit pictures of any size -> 32 x 32 in [0, 1], flat."""
    parts = [
        F.interpolate(part.float() / 255, size=(SIDE, SIDE), mode="area").flatten(1)
        for part in pixels.split(2048)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, 3 * SIDE**2, device=pixels.device)


def nearest(
    pictures: Float[Tensor, "n 3072"], training: Float[Tensor, "m 3072"]
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Root-mean-square distance of each picture to the nearest of training, and which that is."""
    best = torch.full((len(pictures),), torch.inf, device=pictures.device)
    where = torch.zeros(len(pictures), dtype=torch.int64, device=pictures.device)
    for first in range(0, len(training), 16384):
        distances = torch.cdist(pictures, training[first : first + 16384])
        least, place = distances.min(1)
        closer = least < best
        best = torch.where(closer, least, best)
        where = torch.where(closer, place + first, where)
    # Again without the products that make all distances at once, which lose small ones.
    exact = (pictures - training[where]).norm(dim=1)
    return exact / pictures.shape[1] ** 0.5, where


def variety(pictures: Float[Tensor, "n 3072"]) -> float:
    """Mean root-mean-square distance of two different pictures; NaN of fewer than two."""
    distances = torch.pdist(pictures.cpu()[:2000])
    return float(distances.mean()) / pictures.shape[1] ** 0.5
