"""Bringing pictures to the side that a feature network takes; the choice moves FID by whole points.

Parmar 2022 ("On aliased resizing"): libraries that share a filter's name give other pictures.
A resize is therefore part of a feature network's description and of every number made with it.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import UserInputError, nearest

RESIZES = {
    "clean": "antialiased bicubic in floating point, cut to [0, 255]: clean-fid's",
    "torch": "antialiased bilinear, of torch: torchmetrics' default",
    "tensorflow": "bilinear without antialias, corners as in TensorFlow 1: the first FID's, "
    "torch-fidelity's",
    "pytorch-fid": "bilinear without antialias, of torch: pytorch-fid's",
}
"""What can be asked for, in words."""


def check_resize(how: str) -> str:
    """Return the name of a resize.

    Raises:
        UserInputError: There is none of this name.
    """
    if how not in RESIZES:
        raise UserInputError(
            f"Resizing pictures for a feature network: expected one of {', '.join(RESIZES)}, found "
            f"{how!r}{nearest(how, RESIZES)}. Next: correct it."
        )
    return how


def resized(
    pictures: Float[Tensor, "b 3 h w"], side: int, how: str
) -> Float[Tensor, "b 3 side side"]:
    """Resize pictures in [0, 255] to a square of `side` pixels, without rounding to whole numbers.

    Nothing happens to pictures that have the side already.

    Raises:
        UserInputError: There is no resize of this name.
    """
    check_resize(how)
    height, width = pictures.shape[-2:]
    if (height, width) == (side, side):
        return pictures
    if how == "torch":
        return F.interpolate(
            pictures, size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
    if how == "pytorch-fid":
        return F.interpolate(pictures, size=(side, side), mode="bilinear", align_corners=False)
    matrix = _bicubic if how == "clean" else _tensorflow
    down, across = (matrix(n, side).to(pictures) for n in (height, width))
    # One matrix an axis: torch's own antialiased bicubic is off by 0.004 of 255, these by 5e-5.
    result = down @ (pictures @ across.T)
    return result.clamp(0, 255) if how == "clean" else result


@lru_cache(maxsize=8)
def _bicubic(size: int, side: int) -> Float[Tensor, "side size"]:
    """Weights of each of `size` pixels in each of `side`: Keys' cubic (a = -1/2), as Pillow has it.

    When made smaller, the kernel widens by the factor, so that every pixel counts.
    """
    scale = size / side
    centres = (torch.arange(side, dtype=torch.float64) + 0.5) * scale
    pixels = torch.arange(size, dtype=torch.float64) + 0.5
    x = (pixels - centres[:, None]).abs() / max(scale, 1.0)
    inner = (1.5 * x - 2.5) * x**2 + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, inner, torch.where(x < 2, outer, 0.0))
    return weights / weights.sum(1, keepdim=True)


@lru_cache(maxsize=8)
def _tensorflow(size: int, side: int) -> Float[Tensor, "side size"]:
    """Weights of TensorFlow 1: pixel i of the result lies at i * size / side, in float32."""
    place = torch.arange(side, dtype=torch.float32) * torch.tensor(size / side, dtype=torch.float32)
    low = place.long().clamp(max=size - 1)
    part = (place - low).double()
    rows = torch.arange(side)
    weights = torch.zeros(side, size, dtype=torch.float64)
    weights[rows, low] += 1 - part
    weights[rows, (low + 1).clamp(max=size - 1)] += part
    return weights
