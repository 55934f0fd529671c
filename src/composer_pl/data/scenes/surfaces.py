"""Colours of floors and objects at points on them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.noise import cell_noise, fractal_noise, pulse
from composer_pl.data.scenes.table import SceneTable
from composer_pl.data.scenes.tracing import Vectors, to_local, turned
from composer_pl.data.scenes.vocabulary import FLOORS, MATERIALS, PATTERNS

_STRIPE = (0.50, 0.76, 0.42)  # direction across an object's stripes: slanted on every face
_DOT = 0.30  # radius of a dot over the period of its lattice


def floor_color(
    table: SceneTable,
    points: Vectors,
    picture: Int[Tensor, " n"],
    footprint: Float[Tensor, " n"],
) -> Float[Tensor, "3 n"]:
    """Colour of the floor, averaged over the footprint of a pixel.

    Args:
        table: The scenes.
        points: Points on the floor.
        picture: Column of each point's picture.
        footprint: Side of the area that a pixel covers, in scene units.
    """
    rows = table.floor[:, picture]
    kind = table.floor_kind[picture]
    u = (points[0] * rows[6] + points[2] * rows[7]) * rows[8]
    v = (points[2] * rows[6] - points[0] * rows[7]) * rows[8]
    blur = footprint * rows[8]
    share = torch.zeros_like(u)
    shade = torch.ones_like(u)
    for number, name in enumerate(FLOORS):
        where = (kind == number).nonzero().flatten()
        share[where], shade[where] = _FLOORS[name](u[where], v[where], blur[where])
    first, second = rows[:3], rows[3:6]
    return (first + (second - first) * share) * shade


def object_color(
    table: SceneTable,
    points: Vectors,
    normal: Vectors,
    item: Int[Tensor, " n"],
    footprint: Float[Tensor, " n"],
) -> Float[Tensor, "3 n"]:
    """Colour of objects at points on them."""
    colors = table.colors[:, item]
    out = colors[:3].clone()
    patterned = MATERIALS.index("patterned")
    where = (table.material[item] == patterned).nonzero().flatten()
    item, blur = item[where], (footprint / table.place[3, item])[where]
    p = to_local(table, points[:, where], item)
    n = turned(table, normal[:, where], item).abs()
    pattern = table.pattern[item]
    share = torch.where(
        pattern == PATTERNS.index("stripes"),
        _stripes(p, blur),
        torch.where(pattern == PATTERNS.index("checks"), _checks(p, blur), _dots(p, n, blur)),
    )
    first, second = colors[:3, where], colors[3:, where]
    out[:, where] = first + (second - first) * share
    return out


def _stripes(p: Vectors, blur: Tensor) -> Tensor:
    across = p[0] * _STRIPE[0] + p[1] * _STRIPE[1] + p[2] * _STRIPE[2]
    return pulse(across * (1 / 0.52), 0.5, blur * (1 / 0.52))


def _checks(p: Vectors, blur: Tensor) -> Tensor:
    product = torch.ones_like(blur)
    for axis in range(3):
        # Faces of the solids lie in the middle of cells, where no rounding decides the colour.
        wave = pulse(p[axis] * (1 / 0.8) + 0.25, 0.5, blur * (1 / 0.8))
        product = product * (2 * wave - 1)
    return 0.5 - 0.5 * product


def _dots(p: Vectors, n: Vectors, blur: Tensor) -> Tensor:
    """Round dots, seen along the axis that the surface faces most."""
    first = (n[0] >= n[1]) & (n[0] >= n[2])
    second = ~first & (n[1] >= n[2])
    u = torch.where(first, p[1], p[0])
    v = torch.where(first | second, p[2], p[1])
    period = 0.56
    u = u * (1 / period) - torch.floor(u * (1 / period)) - 0.5
    v = v * (1 / period) - torch.floor(v * (1 / period)) - 0.5
    away = torch.sqrt(u * u + v * v)
    edge = (blur * (1 / period)).clamp(min=0.02)
    return (0.5 - (away - _DOT) / edge).clamp(0, 1)


def _plain(u: Tensor, v: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(u), torch.ones_like(u)


def _checked(u: Tensor, v: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    a, b = 2 * pulse(u * 0.5, 0.5, blur * 0.5) - 1, 2 * pulse(v * 0.5, 0.5, blur * 0.5) - 1
    return 0.5 - 0.5 * a * b, torch.ones_like(u)


def _tiled(u: Tensor, v: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    u, v, blur = u * 0.8, v * 0.8, blur * 0.8
    seam = 1 - (1 - pulse(u, 0.045, blur)) * (1 - pulse(v, 0.045, blur))
    tone = cell_noise(torch.floor(u), torch.floor(v))
    return seam * 0.9, 1 + (tone - 0.5) * 0.16 * _near(blur)


def _planks(u: Tensor, v: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    row = torch.floor(v * 1.7)
    along = u * 0.22 + cell_noise(row, torch.zeros_like(row)) * 7
    tone = cell_noise(row, torch.floor(along))
    grain = fractal_noise(u * 1.5 + tone * 50, v * 16.0, 2)
    seam = torch.maximum(pulse(v * 1.7, 0.035, blur * 1.7), 0.8 * pulse(along, 0.006, blur * 0.22))
    share = 0.15 + 0.6 * tone + (grain - 0.5) * 0.7 * _near(blur * 6)
    return share.clamp(0, 1), 1 - 0.65 * seam


def _striped(u: Tensor, v: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    return pulse(v * 0.75, 0.5, blur * 0.75), torch.ones_like(u)


def _speckled(u: Tensor, v: Tensor, blur: Tensor) -> tuple[Tensor, Tensor]:
    """Chips of stone: one round chip of its own size and tone in each cell."""
    u, v, blur = u * 3.2, v * 3.2, blur * 3.2
    left, top = torch.floor(u), torch.floor(v)
    size = 0.12 + 0.26 * cell_noise(left, top)
    x = u - left - 0.5 - 0.2 * (cell_noise(left + 57, top) - 0.5)
    y = v - top - 0.5 - 0.2 * (cell_noise(left, top + 91) - 0.5)
    chip = (0.5 - (torch.sqrt(x * x + y * y) - size) / blur.clamp(min=0.08)).clamp(0, 1)
    near = _near(blur)
    chip = chip * near + 0.2 * (1 - near)
    tone = cell_noise(left + 13, top + 29)
    return chip * (0.4 + 0.6 * tone), 1 + 0.12 * chip * (tone - 0.6)


def _near(blur: Tensor) -> Tensor:
    """1 where a pixel is much finer than the pattern's unit, 0 where it is coarser."""
    return (1.6 - 1.6 * blur).clamp(0, 1)


_FLOORS = {
    "plain": _plain,
    "checked": _checked,
    "tiled": _tiled,
    "planks": _planks,
    "striped": _striped,
    "speckled": _speckled,
}
