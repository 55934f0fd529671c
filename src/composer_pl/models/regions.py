"""Regions of a picture as text: a box, a mask file, or a small mask that the text holds itself."""

import base64
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.data.decode import PictureLimits, given_picture
from composer_pl.errors import UserInputError

_DATA = "data:image/png;base64,"
_LIMITS = PictureLimits(min_side=1, max_aspect=16384)


def region_map(text: str, size: tuple[int, int]) -> Float[Tensor, "1 1 h w"]:
    """Where a region acts: 1 inside, 0 outside, between on its border.

    Args:
        text: A path, `data:` text, a box "top,left,bottom,right" in shares of the sides, or empty
            for everywhere.
        size: Height and width.

    Raises:
        UserInputError: It is none of these, or a mask file that is empty, white everywhere, or of
            another shape than the picture.
    """
    if not text:
        return torch.ones(1, 1, *size)
    box = _box(text)
    if box is not None:
        rows, columns = (
            _covered(first, last, side)
            for first, last, side in ((box[0], box[2], size[0]), (box[1], box[3], size[1]))
        )
        return (rows[:, None] * columns[None])[None, None]
    picture = _mask_picture(text).convert("L")
    if not text.startswith(_DATA):  # records carry masks of when none was refused
        _check_mask(text, picture, size)
    grey = np.array(picture, dtype=np.float32) / 255
    mask = torch.from_numpy(grey)[None, None]
    return F.interpolate(mask, size=size, mode="area" if _smaller(mask, size) else "bilinear")


def of_shape(mask: Image.Image, size: tuple[int, int]) -> bool:
    """Whether a mask has the shape of a picture, to a pixel of the coarser one.

    Args:
        mask: Of any size.
        size: Height and width of the picture.
    """
    height, width = size
    off = abs(mask.width * height - mask.height * width) / max(width, height)
    return off <= max(1.0, mask.width / width)


def carried(text: str) -> str:
    """The same region as text that needs no file: a mask file becomes `data:` text.

    Raises:
        UserInputError: The file is no picture.
    """
    if not text or text.startswith(_DATA) or _box(text) is not None:
        return text
    buffer = io.BytesIO()
    _mask_picture(text).convert("L").save(buffer, "PNG", optimize=True)
    return _DATA + base64.b64encode(buffer.getvalue()).decode("ascii")


def _check_mask(text: str, mask: Image.Image, size: tuple[int, int]) -> None:
    levels = np.asarray(mask)
    darkest, lightest = int(levels.min()), int(levels.max())
    if not of_shape(mask, size):
        problem = (
            f"a mask of the picture's shape, {size[1]} x {size[0]} pixels before upsampling, found "
            f"{mask.width} x {mask.height}"
        )
        advice = "bring it to that shape"
    elif lightest < 128:
        problem = (
            f"white where the condition counts, found no pixel lighter than mid-grey (the lightest "
            f"is level {lightest} of 255)"
        )
        advice = "paint the region white on black"
    elif darkest == 255:
        problem = "white where the condition counts and black elsewhere, found white everywhere"
        advice = (
            "paint black where it is not to count (transparent pixels count as white), or leave "
            "the region out"
        )
    else:
        return
    raise UserInputError(f"Reading the region {text!r}: expected {problem}. Next: {advice}.")


def _box(text: str) -> tuple[float, ...] | None:
    try:
        box = tuple(float(word) for word in text.split(","))
    except ValueError:
        return None
    if len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1:
        return box
    raise UserInputError(
        f"Reading the region {text!r}: expected a box top,left,bottom,right in shares of the sides "
        f"(0..1), such as 0,0,1,0.5 for the left half, found other numbers. Next: correct it."
    )


def _covered(first: float, last: float, side: int) -> Float[Tensor, " s"]:
    """How much of each pixel lies between two shares of a side."""
    edges = torch.arange(side + 1, dtype=torch.float32)
    inside = edges.clamp(first * side, last * side)
    return inside[1:] - inside[:-1]


def _mask_picture(text: str) -> Image.Image:
    try:
        source: Path | io.BytesIO = Path(text)
        if text.startswith(_DATA):
            source = io.BytesIO(base64.b64decode(text.removeprefix(_DATA), validate=True))
        with Image.open(source) as opened:
            return given_picture(opened, limits=_LIMITS).image
    except (OSError, ValueError) as error:
        shown = text if len(text) < 80 else text[:77] + "..."
        raise UserInputError(
            f"Reading the region {shown!r}: expected a mask picture or a box such as 0,0,1,0.5, "
            f"found neither ({error}). Next: correct the path or the numbers."
        ) from error


def _smaller(mask: Tensor, size: tuple[int, int]) -> bool:
    return mask.shape[2] >= size[0] and mask.shape[3] >= size[1]
