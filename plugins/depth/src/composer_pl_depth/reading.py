"""Reading a depth map from a file: renderers and sensors write either polarity and many ranges."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from composer_pl.plugin import UserInputError

_NEAR = "?near="
_LARGEST_COLOUR = 8  # levels of 255 that channels of a grey JPEG may differ


def read_depth(source: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a depth map as values in [0, 1], near is 1, upright, at its own size.

    The file's own range, 8 or 16 bits or floating point, is stretched to [0, 1]. Near is white
    unless the source ends in `?near=black`, as in `room.png?near=black`. Pixels that are no number
    (a renderer's empty sky) are the farthest.

    Raises:
        UserInputError: The file is no picture, coloured, or of one level.
    """
    path, near = _split(str(source))
    expected = (
        f"Reading {str(source)!r} as a depth map: expected a grey picture (PNG or TIFF, 8 or 16 "
        f"bits or floating point) where near is white, found"
    )
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode not in ("L", "I", "F") and not picture.mode.startswith("I;16"):
                levels = np.asarray(picture.convert("RGB")).astype(np.float64)
                if np.ptp(levels, axis=-1).max() > _LARGEST_COLOUR:
                    raise UserInputError(
                        f"{expected} colours. Next: export the depth itself, not its false "
                        f"colours; or let depth be extracted from a photo with --from."
                    )
                levels = levels.mean(-1)
            else:
                levels = np.asarray(picture).astype(np.float64)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UserInputError):
            raise
        raise UserInputError(f"{expected} {error}. Next: give the path of a picture.") from error
    known = np.isfinite(levels)
    low, high = (levels[known].min(), levels[known].max()) if known.any() else (0.0, 0.0)
    if not high > low:
        raise UserInputError(f"{expected} one level everywhere. Next: export the depth anew.")
    value = (levels - low) / (high - low)
    if near == "black":
        value = 1 - value
    value = np.where(known, value, 0.0)
    return torch.from_numpy(value).float()[None]


def _split(source: str) -> tuple[str, str]:
    """Split `path?near=white` into the path and the polarity.

    Raises:
        UserInputError: The polarity is neither white nor black.
    """
    path, mark, near = source.rpartition(_NEAR)
    if not mark:
        return source, "white"
    if near not in ("white", "black"):
        raise UserInputError(
            f"Reading {source!r} as a depth map: expected `near=white` or `near=black` after `?`, "
            f"found {near!r}. Next: correct it."
        )
    return path, near
