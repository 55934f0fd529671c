"""Pictures whose grey levels are given: colours are drawn, light and dark are kept exactly."""

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from composer_pl.composing.panels import as_tensor
from composer_pl.sheet import to_pil

REC601 = (0.299, 0.587, 0.114)
"""Weights of red, green and blue, as Pillow's and most other conversions to grey take them."""


def luma_of(pictures: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 1 h w"]:
    """Rec. 601 luma in the range of the pictures."""
    weights = torch.tensor(REC601, dtype=pictures.dtype, device=pictures.device)
    return (pictures * weights[:, None, None]).sum(-3, keepdim=True)


def with_luma(picture: Image.Image, luma: Float[Tensor, "1 h w"]) -> Image.Image:
    """A picture with other grey levels and, as far as these allow, its own colours.

    Where a level is too bright or dark for a colour, the colour is paled until it fits, so luma
    comes out exactly, but for rounding to 8 bits.

    Args:
        picture: RGB; brought to the size of `luma` first, bicubically.
        luma: In [0, 1].
    """
    height, width = luma.shape[1:]
    drawn = as_tensor(picture)
    if drawn.shape[1:] != luma.shape[1:]:
        drawn = F.interpolate(
            drawn[None], size=(height, width), mode="bicubic", antialias=True, align_corners=False
        )[0].clamp(0, 1)
    luma = luma.clamp(0, 1)
    chroma = drawn - luma_of(drawn)
    # Largest s in [0, 1] with 0 <= luma + s chroma <= 1 in every channel.
    room = torch.where(chroma > 0, 1 - luma, luma)
    share = (room / chroma.abs().clamp(min=1e-6)).amin(0, keepdim=True).clamp(max=1)
    return to_pil(luma + share * chroma)
