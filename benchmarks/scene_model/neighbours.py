"""Are generated pictures copies? Nearest training pictures, and how varied pictures are."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def thumbnails(pixels: Tensor) -> Float[Tensor, "n 3072"]:
    """8-bit pictures of any size -> 32 x 32 in [0, 1], flat."""
    parts = [
        F.interpolate(part.float() / 255, size=(32, 32), mode="area").flatten(1)
        for part in pixels.split(2048)
    ]
    return torch.cat(parts)


def nearest(
    pictures: Float[Tensor, "n 3072"], training: Float[Tensor, "m 3072"]
) -> tuple[Float[Tensor, " n"], Tensor]:
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
    """Mean root-mean-square distance of two different pictures."""
    distances = torch.pdist(pictures.cpu()[:2000])
    return float(distances.mean()) / pictures.shape[1] ** 0.5


def copies(
    drawn: Tensor, unseen: Tensor, training: Tensor
) -> tuple[dict[str, float], Tensor, Tensor]:
    """Compare how near generated pictures and unseen true ones come to training pictures.

    Args:
        drawn: Generated, 8 bits.
        unseen: True pictures of scenes that were not trained on, 8 bits.
        training: What was trained on, 8 bits; all three on one device.

    Returns:
        Numbers; the rows of `drawn` from the nearest on; the training picture nearest to each row
        of `drawn`.
    """
    known = thumbnails(training)
    ours, where = nearest(thumbnails(drawn), known)
    theirs, _ = nearest(thumbnails(unseen), known)
    facts = {
        "training_pictures": len(training),
        "drawn_median": float(ours.median()),
        "drawn_least": float(ours.min()),
        "unseen_median": float(theirs.median()),
        "unseen_least": float(theirs.min()),
        "drawn_nearer_than_1%_of_unseen": float((ours < theirs.quantile(0.01)).float().mean()),
    }
    return {n: round(v, 4) for n, v in facts.items()}, ours.argsort(), where
