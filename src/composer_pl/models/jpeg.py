"""What JPEG does to pictures, in batched torch: the losses without the file.

ITU-T T.81: colours to YCbCr, chroma at half the side (as most cameras write it), a cosine transform
of 8x8 blocks, rounding to multiples of a table that the quality scales, and back. Nothing is
differentiable, since rounding is not.
"""

from math import cos, pi, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import ConfigError

BLOCK = 8

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of brightness at quality 50 (T.81, table K.1), rows by vertical frequency."""
_CHROMA = (
    (17, 18, 24, 47),
    (18, 21, 26, 66),
    (24, 26, 56, 99),
    (47, 66, 99, 99),
)
"""Steps of colour at quality 50 (T.81, table K.2) where they differ from 99: low frequencies."""
_TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
"""RGB to brightness and two colour differences (JFIF), without their offset of 128."""


def jpeg(
    pictures: Float[Tensor, "b 3 h w"], quality: Float[Tensor, " b"], *, subsample: bool = True
) -> Float[Tensor, "b 3 h w"]:
    """Pictures as they come back from JPEG files.

    Args:
        pictures: In [-1, 1], of any sides.
        quality: Of each, from 1 to 100, on the scale of the Independent JPEG Group.
        subsample: Halve the sides of colours (4:2:0).

    Raises:
        ConfigError: A quality is out of range.
    """
    if not bool(((quality >= 1) & (quality <= 100)).all()):
        raise ConfigError(
            f"Corrupting pictures as JPEG does: expected qualities in 1..100, found "
            f"{quality.min():g} to {quality.max():g}. Next: correct them."
        )
    height, width = pictures.shape[2:]
    matrix = torch.tensor(_TO_YCBCR, dtype=torch.float32, device=pictures.device)
    levels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255)
    unit = 2 * BLOCK if subsample else BLOCK
    levels = F.pad(levels, (0, -width % unit, 0, -height % unit), "replicate")
    ycc = torch.einsum("ij,bjhw->bihw", matrix, levels)
    ycc[:, 0] -= 128
    luma, chroma = ycc[:, :1], ycc[:, 1:]
    if subsample:
        chroma = F.avg_pool2d(chroma, 2)
    chroma_table = torch.full((BLOCK, BLOCK), 99.0)
    chroma_table[:4, :4] = torch.tensor(_CHROMA)
    luma = _rounded(luma, torch.tensor(_LUMA, dtype=torch.float32), quality)
    chroma = _rounded(chroma, chroma_table, quality)
    if subsample:
        chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear")
    ycc = torch.cat([luma + 128, chroma], 1)
    rgb = torch.einsum("ij,bjhw->bihw", matrix.double().inverse().float(), ycc)
    rgb = rgb[:, :, :height, :width].round().clamp(0, 255)
    return (rgb / 127.5 - 1).to(pictures.dtype)


def _rounded(
    planes: Float[Tensor, "b c h w"], table: Float[Tensor, "8 8"], quality: Float[Tensor, " b"]
) -> Float[Tensor, "b c h w"]:
    """Planes whose blocks are rounded in the frequency domain."""
    quality = quality.to(planes)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    steps = ((table.to(planes) * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)
    basis = _cosines().to(planes)
    rows, columns = planes.shape[2] // BLOCK, planes.shape[3] // BLOCK
    blocks = planes.unflatten(3, (columns, BLOCK)).unflatten(2, (rows, BLOCK))  # b c r 8 k 8
    found = torch.einsum("ui,bcrikj,vj->bcrukv", basis, blocks, basis)
    steps = steps[:, None, None, :, None, :]
    kept = (found / steps).round() * steps
    back = torch.einsum("ui,bcrukv,vj->bcrikj", basis, kept, basis)
    return back.flatten(4, 5).flatten(2, 3)


def _cosines() -> Float[Tensor, "8 8"]:
    """The orthonormal cosine transform (DCT-II) of eight numbers; rows are frequencies."""
    return torch.tensor(
        [
            [
                sqrt((1 if u == 0 else 2) / BLOCK) * cos((2 * i + 1) * u * pi / (2 * BLOCK))
                for i in range(BLOCK)
            ]
            for u in range(BLOCK)
        ]
    )
