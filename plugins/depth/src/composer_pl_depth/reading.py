"""Reading a depth map from a file: renderers and sensors write either polarity and many ranges."""

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from composer_pl.plugin import UserInputError

_NEAR = "?near="
_CLEAR = 0.2
"""Share of all pixels by which the lower quarter must rank darker to say that black is near."""
_BEYOND = 1e6
"""Renderers write 65504, 1e10 or infinity where nothing is; 65504 may be a 16-bit level."""
_ENDS = (0.2, 99.8)
"""Percentiles that become 0 and 1: single wild pixels would flatten all others."""
_LARGEST_COLOUR = 8  # levels of 255 that channels of a grey JPEG may differ


def read_depth(source: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a depth map as values in [0, 1], near is 1, upright, at its own size.

    The file's own range, 8 or 16 bits or floating point, is stretched to [0, 1]. The source may
    end in what the file means: `room.png?near=white`, `?near=black`, or `?near=metric` for
    distances in any unit, such as a renderer's metres or a sensor's millimetres, whose inverse is
    taken (0 is no measurement, and far). Otherwise near is white, unless the lower quarter is
    clearly darker than the upper one, as what is near is low in nearly every picture: then black
    is near, and floating-point levels above 1 are distances; a warning says so. Pixels that are no
    number (a renderer's empty sky) are the farthest.

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
                levels = np.asarray(picture)
                if levels.dtype != np.float32:  # which is kept to know floating point by
                    levels = levels.astype(np.float64)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UserInputError):
            raise
        raise UserInputError(f"{expected} {error}. Next: give the path of a picture.") from error
    known = np.isfinite(levels) & (np.abs(levels) < _BEYOND)
    if known.any() and np.ptp(levels[known]) > 0 and near is None:
        near = _recognised(levels, known, expected)
    if near == "metric":
        known &= levels > 0
        levels = np.where(known, 1 / np.where(known, levels, 1), 0.0)
    low, high = np.percentile(levels[known], _ENDS) if known.any() else (0.0, 0.0)
    if not high > low:  # a thing so small that the ends miss it
        low, high = (levels[known].min(), levels[known].max()) if known.any() else (0.0, 0.0)
    if not high > low:
        raise UserInputError(f"{expected} one level everywhere. Next: export the depth anew.")
    if near == "metric" and not known.all():
        low = 0.0  # what has no distance is farther than anything that has one
    value = np.clip((levels - low) / (high - low), 0, 1)
    if near == "black":
        value = 1 - value
    value = np.where(known, value, 0.0)
    return torch.from_numpy(value).float()[None]


def _recognised(levels: np.ndarray, known: np.ndarray, expected: str) -> str:
    """The polarity of a map that states none, by which end of it is low in the picture."""
    rows = np.flatnonzero(known.any(1))  # an empty sky says nothing
    count = max(len(rows) // 4, 1)
    upper, lower = (levels[part][known[part]] for part in (rows[:count], rows[-count:]))
    # Ranks, as a renderer's horizon can be a thousand times as far as all else.
    ends = [(levels[known] < np.median(part)).mean() for part in (upper, lower)]
    if ends[0] - ends[1] < _CLEAR:
        return "white"
    near = "metric" if levels.dtype == np.float32 and levels[known].max() > 1 else "black"
    meaning = "distances" if near == "metric" else "black is near"
    warnings.warn(
        f"{expected} a lower part that is clearly darker than the upper one: taken as {meaning}. "
        f"Next: add ?near=white to the path if white is near, ?near={near} to say that this is "
        f"right.",
        stacklevel=4,
    )
    return near


def _split(source: str) -> tuple[str, str | None]:
    """Split `path?near=white` into the path and the polarity.

    Raises:
        UserInputError: The polarity is unknown.
    """
    path, mark, near = source.rpartition(_NEAR)
    if not mark:
        return source, None
    if near not in ("white", "black", "metric"):
        raise UserInputError(
            f"Reading {source!r} as a depth map: expected `near=white`, `near=black` or "
            f"`near=metric` after `?`, found {near!r}. Next: correct it."
        )
    return path, near
