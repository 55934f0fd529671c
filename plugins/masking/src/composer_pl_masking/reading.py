"""Reading a picture with a hole from a file."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from composer_pl.plugin import UserInputError


def read_cut_out(source: str | Path) -> Float[Tensor, "4 h w"]:
    """Read a picture whose transparency is the mask: at least half opaque is known.

    Raises:
        UserInputError: The file is missing, no picture, or has no transparency.
    """
    expected = (
        f"Reading {str(source)!r} as a masked picture: expected a picture with transparency (PNG "
        f"or WebP), whose transparent part is the hole, found"
    )
    try:
        with Image.open(source) as file:
            picture = ImageOps.exif_transpose(file)
            transparent = picture.has_transparency_data
            mode = f"{picture.format or file.format} without transparency (mode {picture.mode})"
            rgba = np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(f"{expected} {error}. Next: give the path of a picture.") from error
    if not transparent:
        raise UserInputError(
            f"{expected} {mode}. Next: erase the hole in an editor and save as PNG; or, to change "
            f"the whole picture, leave the condition out."
        )
    known = torch.from_numpy(rgba[:, :, 3] >= 128).float()
    colour = torch.from_numpy(rgba[:, :, :3].copy()).permute(2, 0, 1).float() / 127.5 - 1
    return torch.cat([colour * known, known[None]])
