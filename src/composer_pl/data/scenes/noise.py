"""Patterns of numbers in the plane: hashes of cells, value noise, filtered stripes.

Everything is exactly rounded arithmetic or integers, see `solids`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_MASK = 0xFFFFFFFF


def cell_noise(x: Tensor, y: Tensor) -> Tensor:
    """A number in [0, 1) for each cell of the unit lattice, given by whole coordinates."""
    h = (x.to(torch.int64) * 374761393 + y.to(torch.int64) * 668265263) & _MASK
    h = ((h ^ (h >> 13)) * 1274126177) & _MASK
    return ((h ^ (h >> 16)) & 0xFFFF).to(torch.float32) * (1 / 65536)


def value_noise(x: Tensor, y: Tensor) -> Tensor:
    """Smooth noise in [0, 1) with features of about one unit."""
    left, top = torch.floor(x), torch.floor(y)
    u, v = x - left, y - top
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a, b = cell_noise(left, top), cell_noise(left + 1, top)
    c, d = cell_noise(left, top + 1), cell_noise(left + 1, top + 1)
    upper, lower = a + (b - a) * u, c + (d - c) * u
    return upper + (lower - upper) * v


def fractal_noise(x: Tensor, y: Tensor, octaves: int) -> Tensor:
    """Sum of noises of halving size and weight, in [0, 1)."""
    total, weight, sum_of_weights = torch.zeros_like(x), 0.5, 0.0
    for _ in range(octaves):
        total = total + weight * value_noise(x, y)
        sum_of_weights += weight
        # Turned as well as shrunk, so that the lattices do not show.
        x, y = 1.6 * x + 1.2 * y + 17.0, 1.6 * y - 1.2 * x + 9.0
        weight *= 0.5
    return total / sum_of_weights


def pulse(x: Tensor, duty: float, blur: Tensor) -> Float[Tensor, "*n"]:
    """A train of pulses of period 1 that is 1 on [0, duty), averaged over a width.

    The average is exact, so that fine stripes in the distance turn grey instead of flickering.

    Args:
        x: Positions.
        duty: Share of the period that is 1.
        blur: Width of the average, above 0.
    """
    blur = blur.clamp(min=1e-3)

    def integral(t: Tensor) -> Tensor:
        whole = torch.floor(t)
        return whole * duty + (t - whole).clamp(max=duty)

    return (integral(x + 0.5 * blur) - integral(x - 0.5 * blur)) / blur
