"""sRGB -> CIELab, written out so that a palette needs no imaging library.

Everything is elementwise in float32 or float64: no matrix product that autocast or TF32 could
coarsen, because a colour near the border of two bins would fall to the wrong side.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
"""Linear sRGB -> CIE XYZ, primaries of ITU-R BT.709."""

_WHITE = (0.95047, 1.0, 1.08883)
"""CIE XYZ of D65 for the 2 degree observer."""


def rgb_to_lab(rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Convert sRGB in [0, 1] to CIELab under D65: L in [0, 100], a and b about [-128, 128].

    Args:
        rgb: Pictures in [0, 1]; half precision is raised to float32.

    Returns:
        Lab of the same size, float64 for float64 input and float32 otherwise.
    """
    if rgb.dtype != torch.float64:
        rgb = rgb.float()
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    red, green, blue = linear.unbind(1)
    response = []
    for row, white in zip(_TO_XYZ, _WHITE, strict=True):
        t = (row[0] * red + row[1] * green + row[2] * blue) / white
        # CIE 15: cube root, with a straight line below (6/29)^3
        response.append(torch.where(t > 0.008856, t.clamp(min=0) ** (1 / 3), 7.787 * t + 16 / 116))
    x, y, z = response
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)
