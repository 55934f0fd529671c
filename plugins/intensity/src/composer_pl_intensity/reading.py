"""Reading a grey picture from a file."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from composer_pl.plugin import UserInputError


def read_grey(source: str | Path) -> Float[Tensor, "1 h w"]:
    """Read a picture as a grey image in [-1, 1], upright, at its own size.

    Eight and sixteen bits are scaled by their own full range, floating point is 0 to 1; transparent
    parts lie over white.

    Raises:
        UserInputError: The file is missing or no picture.
    """
    try:
        with Image.open(source) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I"):
                levels = np.asarray(picture).astype(np.float64) / 65535
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
                levels = np.asarray(picture.convert("L")).astype(np.float64) / 255
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(
            f"Reading {str(source)!r} as an intensity map: expected a grey picture (PNG, JPEG, "
            f"TIFF...), found {error}. Next: give the path of a picture."
        ) from error
    return torch.from_numpy(levels * 2 - 1).float().clamp(-1, 1)[None]
