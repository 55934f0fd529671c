"""Masks that people paint: where a picture is to be changed."""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from composer_pl.data.decode import given_picture
from composer_pl.errors import UserInputError
from composer_pl.models.regions import of_shape, region_map

Region = str | Path | Image.Image
"""A mask picture (file or open), white where to edit; or a box "top,left,bottom,right" in shares
of the sides."""


def read_region(region: Region, size: tuple[int, int]) -> Float[Tensor, "1 h w"]:
    """Where a picture is to be changed: 1 there, 0 elsewhere.

    A mask of another size is taken where its shape is the picture's, as that of a smaller copy.

    Args:
        region: See `Region`; at least mid-grey counts as white.
        size: Height and width of the picture.

    Raises:
        UserInputError: It is no mask or box, of another shape, empty, or all of the picture.
    """
    box = is_box(region)
    if box:
        mask, lightest = region_map(str(region), size)[0], 1.0
    else:
        mask, lightest = _painted(region, size)
    inside = (mask >= 0.5).float()
    share = float(inside.mean())
    if share == 0 and box:
        raise _refusal(
            f"a box of a pixel or more of {size[1]} x {size[0]}, found {region!r}",
            "give a larger box",
        )
    if share == 0:
        raise _refusal(
            f"white where to edit, found no pixel lighter than mid-grey (the lightest is level "
            f"{round(255 * lightest)} of 255)",
            "paint the region white on black",
        )
    if share == 1:
        raise _refusal(
            "white where to edit and black elsewhere, found white everywhere",
            "paint black what is to stay (transparent pixels count as white), or edit without a "
            "region",
        )
    return inside


def is_box(region: Region) -> bool:
    """Whether a region is given by numbers, not painted."""
    return isinstance(region, str) and bool(re.fullmatch(r"[-+0-9.eE, ]*,[-+0-9.eE, ]*", region))


def softened(inside: Float[Tensor, "1 h w"], pixels: int) -> Float[Tensor, "1 h w"]:
    """A region whose border rises from 0 to 1 within so many pixels, all of them inside it.

    Args:
        inside: 1 and 0.
        pixels: How wide the border is; 0 is a hard one.
    """
    rows, columns = (inside[0].any(axis).nonzero()[:, 0] for axis in (1, 0))
    top, left = (max(int(line[0]) - pixels - 1, 0) for line in (rows, columns))
    bottom, right = int(rows[-1]) + pixels + 2, int(columns[-1]) + pixels + 2
    eroded = inside[:, top:bottom, left:right]  # elsewhere there is nothing to soften
    total = eroded.clone()
    for _ in range(pixels):
        # Beyond the picture's edge the region goes on: there is no seam to hide.
        eroded = 1 - F.max_pool2d(1 - eroded, 3, 1, 1)
        total = total + eroded
    soft = torch.zeros_like(inside)
    soft[:, top:bottom, left:right] = total / (pixels + 1)
    return soft


def known_outside(
    inside: Float[Tensor, "1 h w"], size: tuple[int, int]
) -> Float[Tensor, "1 hh ww"]:
    """1 where all of a pixel at another size lies outside the region, else 0."""
    if inside.shape[1] >= size[0]:
        touched = F.adaptive_max_pool2d(inside[None], size)[0]
    else:
        touched = F.interpolate(inside[None], size=size, mode="nearest")[0]
    return 1 - touched


def _painted(region: Region, size: tuple[int, int]) -> tuple[Tensor, float]:
    grey = given_picture(region).image.convert("L")
    height, width = size
    if grey.size != (width, height):
        if not of_shape(grey, size):
            raise _refusal(
                f"a mask of the picture's size, {width} x {height} pixels, found {grey.width} x "
                f"{grey.height}",
                "paint it on a copy of the picture",
            )
        grey = grey.resize((width, height), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.asarray(grey, dtype=np.float32) / 255)[None]
    return values, float(values.max())


def _refusal(problem: str, advice: str) -> UserInputError:
    return UserInputError(f"Reading the region to edit: expected {problem}. Next: {advice}.")
