"""The 156 reference colours of the palette, and the smoothing between them.

After Rayleigh (Karayev 2016), which Composer names as its source with 11 hues, 5 saturations,
5 lights and sigma 10 (Huang et al. 2023, section 2.1). Swatches in the paper's figures agree with
this list within one grey level in the median, and not with denser ones.
"""

import colorsys
import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl_color.lab import rgb_to_lab

HUES = (0.0, 0.0833, 0.166, 0.25, 0.333, 0.5, 0.56333, 0.666, 0.73, 0.803, 0.916)
"""Hue columns, in turns: denser where people have names for colours."""

ROWS = (
    *((step / 6, 1.0) for step in range(1, 6)),
    (1.0, 1.0),
    *((1.0, light) for light in (0.84, 0.68, 0.52, 0.36)),
    *((0.4, light) for light in (0.84, 0.68, 0.52)),
)
"""(saturation, value) of the 13 rows: pale, full, dark, and three greyish dark ones."""

GREYS = 13
"""Steps of the ramp from white to black."""

BINS = len(HUES) * len(ROWS) + GREYS
"""Length of a palette: 13 rows x 11 hues + 13 greys = 156."""


@lru_cache(maxsize=1)
def _colors() -> tuple[tuple[float, float, float], ...]:
    hued = [colorsys.hsv_to_rgb(hue, *row) for hue in HUES for row in ROWS]
    ramp = [1 - step / (GREYS - 1) for step in range(GREYS)]
    return tuple(hued + [(grey, grey, grey) for grey in ramp])


def reference_rgb() -> Float[Tensor, "156 3"]:
    """Return the reference colours as sRGB in [0, 1], float64; hue by hue, greys last."""
    return torch.tensor(_colors(), dtype=torch.float64)


def reference_lab() -> Float[Tensor, "156 3"]:
    """Return the reference colours in CIELab (D65), float64."""
    return rgb_to_lab(reference_rgb().T[None, :, :, None])[0, :, :, 0].T


def ground_distance() -> Float[Tensor, "156 156"]:
    """Return Euclidean distances between reference colours in Lab units (CIE76), float64."""
    lab = reference_lab()
    return (lab[:, None] - lab[None]).square().sum(2).sqrt()


def smoothing(sigma: float) -> Float[Tensor, "156 156"]:
    """Return Gaussian weights exp(-d^2 / (2 sigma^2)) between references, rows summing to 1.

    Args:
        sigma: Width in Lab units; 0 means no smoothing, the identity.
    """
    if sigma == 0 or math.isclose(sigma, 0):
        return torch.eye(BINS, dtype=torch.float64)
    weights = torch.exp(-ground_distance().square() / (2 * sigma**2))
    return weights / weights.sum(1, keepdim=True)
