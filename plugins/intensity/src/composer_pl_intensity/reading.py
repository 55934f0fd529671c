"""Reading a grey picture from a file."""

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from composer_pl.plugin import UserInputError, white_level


def read_grey(source: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a picture as a grey image in [-1, 1], upright, at its own size.

    Eight and sixteen bits are scaled by their own full range, floating point is 0 to 1; transparent
    parts lie over white. Sixteen bits that hold 8 or 12 at most, and a mask of 0 and 1, are scaled
    by those, as they would be near black; a warning says so.

    Raises:
        UserInputError: The file is missing or no picture.
    """
    assumed = ""
    try:
        with Image.open(source) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I"):
                whole = np.asarray(picture)
                white, assumed = white_level(whole, 65535)
                levels = whole.astype(np.float64) / white
            elif picture.mode == "F":
                levels = np.asarray(picture).astype(np.float64)
                if not 0 <= levels.min() <= levels.max() <= 1:  # also false for nan
                    raise ValueError(
                        f"floating point levels from {levels.min()} to {levels.max()}, whose black "
                        f"and white nothing tells, instead of 0 to 1"
                    )
            else:
                if picture.has_transparency_data:
                    picture = picture.convert("RGBA")
                    white = Image.new("RGBA", picture.size, "white")
                    picture = Image.alpha_composite(white, picture).convert("RGB")
                whole, white = np.asarray(picture.convert("L")), 255
                if picture.mode == "L":
                    white, assumed = white_level(whole, white)
                levels = whole.astype(np.float64) / white
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(
            f"Reading {str(source)!r} as an intensity map: expected a grey picture (PNG, JPEG, "
            f"TIFF...), found {error}. Next: give the path of a picture."
        ) from error
    if assumed:
        warnings.warn(
            f"Reading {str(source)!r} as an intensity map: expected {assumed}. Next: save it over "
            f"the whole range of its bits, so that nothing is assumed.",
            stacklevel=3,
        )
    return torch.from_numpy(levels * 2 - 1).float().clamp(-1, 1)[None]
