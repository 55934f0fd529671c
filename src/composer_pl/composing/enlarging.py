"""Small pictures as upsamplers take them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.data.decode import PictureLimits, given_picture
from composer_pl.errors import UserInputError

MAX_SMALL = 1024
"""Longest side of a picture that is upsampled."""

_LIMITS = PictureLimits(min_side=1, max_side=MAX_SMALL, max_aspect=MAX_SMALL)


def small_pictures(
    pictures: Sequence[str | Path | Image.Image],
) -> Float[Tensor, "b 3 h w"]:
    """Pictures of one size, files or open, in [-1, 1]; upright, transparency on white.

    Raises:
        UserInputError: There is none, one cannot be read, or their sizes differ.
    """
    read = [given_picture(picture, limits=_LIMITS).image for picture in pictures]
    sizes = sorted({image.size for image in read})
    if len(sizes) != 1:
        found = ", ".join(f"{height}x{width}" for width, height in sizes) or "none"
        raise UserInputError(
            f"Upsampling pictures: expected pictures of one size, found {found}. "
            f"Next: upsample each size in a call of its own."
        )
    pixels = torch.from_numpy(np.stack([np.array(image) for image in read]))
    return pixels.permute(0, 3, 1, 2).float() / 255 * 2 - 1
