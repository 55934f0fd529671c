"""Reading a drawn sketch from a file, whatever its polarity and range."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from composer_pl.plugin import UserInputError

_LEAST_CONTRAST = 0.1
_MOST_INK = 0.35  # a photograph has about half its range as "ink", drawings below a quarter


def read_strokes(source: str | Path, canvas: int) -> Float[Tensor, "1 h w"]:
    """Read a drawing as strokes in [0, 1], 1 is ink, upright, in its own proportions.

    The paper is what most pixels show: dark strokes on light paper and light strokes on a dark
    ground both come out as white on black. Ink is scaled so that the strongest stroke is 1.
    Drawings larger than `canvas` are brought down by maxima, so that thin strokes survive.

    Raises:
        UserInputError: The file is no picture, is empty, or is no drawing.
    """
    expected = (
        f"Reading {str(source)!r} as a sketch: expected a picture of strokes on an even ground "
        f"(black on white or white on black), found"
    )
    try:
        with Image.open(source) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I"):
                levels = np.asarray(picture).astype(np.float64) / 65535
            elif picture.mode == "F":
                levels = np.asarray(picture).astype(np.float64)
                if not 0 <= levels.min() <= levels.max() <= 1:  # also false for nan
                    raise ValueError("floating point levels outside 0 to 1")
            else:
                if picture.has_transparency_data:
                    picture = picture.convert("RGBA")
                    white = Image.new("RGBA", picture.size, "white")
                    picture = Image.alpha_composite(white, picture).convert("RGB")
                levels = np.asarray(picture.convert("L")).astype(np.float64) / 255
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(f"{expected} {error}. Next: give the path of a picture.") from error

    ground = float(np.median(levels))
    # The two ends differ by which side of the ground the strokes are on.
    dark, light = ground - float(levels.min()), float(levels.max()) - ground
    reach = max(dark, light)
    if reach < _LEAST_CONTRAST:
        raise UserInputError(
            f"{expected} one even grey. Next: draw stronger strokes, or leave the sketch out."
        )
    ink = (ground - levels if dark >= light else levels - ground) / reach
    ink = np.clip(ink, 0, 1)
    if ink.mean() > _MOST_INK or np.abs(levels - ground).mean() > _MOST_INK * reach:
        raise UserInputError(
            f"{expected} a picture full of grey levels, such as a photo. Next: let the sketch be "
            f"extracted from it with --from."
        )
    strokes = torch.from_numpy(ink).float()[None]
    height, width = levels.shape
    if min(height, width) > canvas:
        scale = canvas / min(height, width)
        strokes = adaptive_max_pool2d(strokes, (round(height * scale), round(width * scale)))
    return strokes
