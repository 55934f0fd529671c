"""Cut squares out of pictures: the canvas for extractors and the target for the denoiser.

The crop box is chosen once a sample, in the pixel coordinates of the upright source picture, and
every square of that sample is cut with it, so that a sketch found on the canvas lies exactly over
the target.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.data.decode import Picture
from composer_pl.randomness import keyed_generator

CropMode = Literal["center", "random"]

# A random crop keeps at least this share of the short side, the range ADM trains with.
MIN_CROP_SHARE = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """A square in the pixel coordinates of the upright source picture.

    Attributes:
        left: First column.
        top: First row.
        side: Columns and rows.
        flip: Whether the square is mirrored left to right.
    """

    left: int
    top: int
    side: int
    flip: bool = False


def choose_crop(
    width: int,
    height: int,
    *,
    key: int,
    mode: CropMode = "center",
    flip_probability: float = 0.0,
) -> Crop:
    """Choose a square as a pure function of the picture's size and the sample's key.

    Args:
        width: Columns of the upright picture.
        height: Rows of the upright picture.
        key: The sample's key; nothing else decides a random choice.
        mode: "center" takes the largest square in the middle; "random" takes a square of 0.8 to 1
            times the short side anywhere.
        flip_probability: How often the square is mirrored.
    """
    short = min(width, height)
    flip = _uniform(key, "flip") < flip_probability
    if mode == "center":
        return Crop(left=(width - short) // 2, top=(height - short) // 2, side=short, flip=flip)
    share = MIN_CROP_SHARE + (1 - MIN_CROP_SHARE) * _uniform(key, "crop side")
    side = min(short, max(1, round(short * share)))
    left = int(_uniform(key, "crop left") * (width - side + 1))
    top = int(_uniform(key, "crop top") * (height - side + 1))
    return Crop(left=left, top=top, side=side, flip=flip)


def cut(picture: Picture, crop: Crop, *, size: int) -> Float[Tensor, "3 {size} {size}"]:
    """Cut `crop` out of `picture` and bring it to `size` x `size` pixels in [-1, 1].

    Resampling is Pillow's bicubic, which widens its kernel when shrinking and so does not alias.
    A flip mirrors the finished square, which is the same as cutting from a mirrored picture.
    """
    image = picture.image
    scale_x, scale_y = image.width / picture.width, image.height / picture.height
    box = (
        crop.left * scale_x,
        crop.top * scale_y,
        min((crop.left + crop.side) * scale_x, image.width),
        min((crop.top + crop.side) * scale_y, image.height),
    )
    square = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)  # 3 size size, 0..255
    if crop.flip:
        pixels = pixels.flip(-1)
    return pixels.to(torch.float32).div_(127.5).sub_(1.0).contiguous()


def _uniform(key: int, purpose: str) -> float:
    """Draw one number in [0, 1) from the key's own generator."""
    return float(torch.rand((), generator=keyed_generator(key, purpose), dtype=torch.float64))
