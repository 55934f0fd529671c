"""The sky in a direction: what the camera sees above the horizon and what metal mirrors."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.noise import cell_noise, fractal_noise
from composer_pl.data.scenes.table import SceneTable
from composer_pl.data.scenes.tracing import Vectors, dot

_CLOUD_OCTAVES = 4


def sky_color(
    table: SceneTable, direction: Vectors, picture: Int[Tensor, " n"], *, detailed: bool
) -> Float[Tensor, "3 n"]:
    """Light from the sky.

    Args:
        table: The scenes.
        direction: Unit vectors; below the horizon the horizon's colour is given.
        picture: Column of each direction's picture.
        detailed: Whether to draw clouds and stars; faint mirror images do without.
    """
    rows = table.sky[:, picture]
    zenith, horizon, glow = rows[:3], rows[3:6], rows[6:9]
    up = direction[1].clamp(min=0)
    height = up / (up + 0.16)  # rises fast above the horizon
    color = horizon + (zenith - horizon) * (height * 1.1).clamp(max=1)
    if detailed:
        color = _with_clouds(color, rows, direction, up)
        color = color + _stars(rows, direction, up)
    facing = dot(direction, table.light[:3, picture]).clamp(min=0)
    return color + glow * (0.35 * power(facing, 3) + 0.9 * power(facing, 6))


def power(x: Tensor, doublings: int) -> Tensor:
    """Raise x to the power of 2**doublings, by squaring."""
    for _ in range(doublings):
        x = x * x
    return x


def _with_clouds(color: Tensor, rows: Tensor, direction: Vectors, up: Tensor) -> Tensor:
    cover = rows[10]
    where = ((cover > 0) & (up > 0.01)).nonzero().flatten()
    # A flat layer of clouds, bent down towards the horizon so that it does not end in noise.
    flat = 1.6 / (up[where] + 0.18)
    x = direction[0, where] * flat + rows[12, where]
    y = direction[2, where] * flat
    density = fractal_noise(x, y, _CLOUD_OCTAVES)
    edge = ((density - 0.62 + 0.22 * cover[where]) * 4.0).clamp(0, 1)
    edge = edge * edge * (3 - 2 * edge) * (up[where] * 9).clamp(max=1) * 0.85
    # Lit from the sky around them: brighter than the horizon, with greyer middles.
    lit = rows[3:6, where] * 0.55 + 0.5 * _cloud_light(rows[:, where])
    lit = lit * (1.08 - 0.25 * edge)
    out = color.clone()
    out[:, where] = color[:, where] + (lit - color[:, where]) * edge
    return out


def _cloud_light(rows: Float[Tensor, "13 n"]) -> Float[Tensor, "3 n"]:
    """A cloud's own brightness: the mean of the horizon's channels, a little warm."""
    mean = (rows[3] + rows[4] + rows[5]) * (1 / 3)
    return torch.stack([mean * 1.05, mean, mean * 0.96])


def _stars(rows: Tensor, direction: Vectors, up: Tensor) -> Tensor:
    out = torch.zeros_like(direction)
    where = ((rows[11] > 0) & (up > 0.02)).nonzero().flatten()
    flat = 34 / (up[where] + 0.6)
    x = direction[0, where] * flat + rows[12, where]
    y = direction[2, where] * flat
    left, top = torch.floor(x), torch.floor(y)
    u = x - left - 0.3 - 0.4 * cell_noise(left + 3, top)
    v = y - top - 0.3 - 0.4 * cell_noise(left, top + 7)
    bright = (cell_noise(left, top) - 0.86).clamp(min=0) * 7
    disc = (1 - 9 * torch.sqrt(u * u + v * v)).clamp(min=0)
    out[:, where] = (bright * disc * rows[11, where] * 2.2)[None]
    return out
