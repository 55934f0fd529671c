"""Rays against objects, only where a ray comes near an object's bounding ball.

Every function works on lists of (ray, object) pairs. A pair's numbers depend on nothing but its ray
and its object, so results are the same however rays are grouped.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.solids import SOLIDS, distance
from composer_pl.data.scenes.table import SceneTable
from composer_pl.data.scenes.vocabulary import SHAPES

HIT = 1e-4  # distance, in the solid's own unit, at which a ray has arrived
_ARRIVED = 4e-3  # rays that graze a solid come to rest a little above it
_CONVEX_STEPS = 7
_TORUS_STEPS = 48
_LEAST_STEP = 0.01
_GRADIENT = 2e-3

Vectors = Float[Tensor, "3 n"]


class Rays(NamedTuple):
    """Rays with the pictures they belong to.

    Attributes:
        origin: Where each begins.
        direction: Unit vectors.
        picture: Column of the scene table.
    """

    origin: Vectors
    direction: Vectors
    picture: Int[Tensor, " n"]


class Pairs(NamedTuple):
    """Rays that may meet objects, ordered by slot.

    Attributes:
        ray: Position in the list of rays.
        slot: Place of the object in its picture.
        item: Column of the object in the scene table.
    """

    ray: Int[Tensor, " p"]
    slot: Int[Tensor, " p"]
    item: Int[Tensor, " p"]


def dot(a: Vectors, b: Vectors) -> Float[Tensor, " n"]:
    """Scalar products, summed in a fixed order."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a: Vectors) -> Vectors:
    """Bring vectors to length 1."""
    return a / torch.sqrt(dot(a, a))


def near_pairs(
    table: SceneTable,
    rays: Rays,
    *,
    widening: Float[Tensor, " n"] | float = 0.0,
    own: Int[Tensor, " n"] | None = None,
) -> Pairs:
    """Find the pairs in which a ray, or the cone around it, meets the object's bounding ball.

    Args:
        table: The scenes.
        rays: The rays.
        widening: Growth of the cone's radius per length.
        own: Column of the object that each ray begins on, which is left out when it is convex;
            -1 for none.
    """
    torus = SHAPES.index("torus")
    found = []
    for slot in range(table.slots):
        item = rays.picture * table.slots + slot
        ball = table.place[:, item]
        offset = rays.origin - ball[:3]
        along = dot(offset, rays.direction)
        reach = ball[6] + widening * (-along).clamp(min=0)
        across = dot(offset, offset) - along * along
        near = (across < reach * reach) & (along < ball[6]) & (ball[6] > 0)
        if own is not None:
            near &= (own != item) | (table.shape[item] == torus)
        ray = near.nonzero().flatten()
        found.append((ray, torch.full_like(ray, slot), item[ray]))
    ray, slot, item = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Pairs(ray, slot, item)


def by_shape(
    table: SceneTable,
    item: Int[Tensor, " p"],
    compute: Callable[[str, Tensor], Tensor],
) -> Tensor:
    """Call `compute(shape, positions)` for each shape in the list and put its answers together.

    Answers have the pairs on their last axis.
    """
    shape = table.shape[item]
    answers, places = [], []
    for name in table.shapes:
        where = (shape == SHAPES.index(name)).nonzero().flatten()
        places.append(where)
        answers.append(compute(name, where))
    together = torch.cat(answers, -1)
    out = torch.empty_like(together)
    out[..., torch.cat(places)] = together
    return out


def to_local(table: SceneTable, points: Vectors, item: Int[Tensor, " n"]) -> Vectors:
    """Bring points into the coordinates of objects, in units of their scale."""
    place = table.place[:, item]
    x, y, z = ((points[i] - place[i]) / place[3] for i in range(3))
    return torch.stack([x * place[4] + z * place[5], y, z * place[4] - x * place[5]])


def turned(table: SceneTable, vectors: Vectors, item: Int[Tensor, " n"]) -> Vectors:
    """Turn directions into the coordinates of objects."""
    c, s = table.place[4:6, item]
    x, y, z = vectors
    return torch.stack([x * c + z * s, y, z * c - x * s])


def hits(table: SceneTable, rays: Rays, pairs: Pairs) -> Float[Tensor, " p"]:
    """Distance along each pair's ray to the object, infinite where it passes by."""

    def one_shape(shape: str, where: Tensor) -> Tensor:
        ray, item = pairs.ray[where], pairs.item[where]
        origin = to_local(table, rays.origin[:, ray], item)
        direction = turned(table, rays.direction[:, ray], item)
        return _march(shape, origin, direction) * table.place[3, item]

    return by_shape(table, pairs.item, one_shape)


def normals(table: SceneTable, points: Vectors, item: Int[Tensor, " n"]) -> Vectors:
    """Unit normals at points on objects, from differences at the corners of a tetrahedron."""

    def one_shape(shape: str, where: Tensor) -> Tensor:
        p = to_local(table, points[:, where], item[where])
        if shape == "sphere":
            return p
        e = _GRADIENT
        a = distance(shape, torch.stack([p[0] + e, p[1] - e, p[2] - e]))
        b = distance(shape, torch.stack([p[0] - e, p[1] - e, p[2] + e]))
        c = distance(shape, torch.stack([p[0] - e, p[1] + e, p[2] - e]))
        d = distance(shape, torch.stack([p[0] + e, p[1] + e, p[2] + e]))
        return torch.stack([(a + d) - (b + c), (c + d) - (a + b), (b + d) - (a + c)])

    x, y, z = unit(by_shape(table, item, one_shape))
    c, s = table.place[4:6, item]
    return torch.stack([x * c - z * s, y, z * c + x * s])


def spread(
    values: Tensor, pairs: Pairs, slots: int, rays: int, *, empty: float
) -> Float[Tensor, "slots rays"]:
    """Write each pair's value into a table of slots by rays that is `empty` elsewhere."""
    table = torch.full((slots, rays), empty, device=values.device)
    table[pairs.slot, pairs.ray] = values
    return table


def _march(shape: str, origin: Vectors, direction: Vectors) -> Float[Tensor, " p"]:
    """Distance to a solid of scale 1, infinite on a miss."""
    solid = SOLIDS[shape]
    along = dot(origin, direction)
    inside = along * along - dot(origin, origin) + solid.bound * solid.bound
    half = torch.sqrt(inside.clamp(min=0))
    enter, leave = (-along - half).clamp(min=0), half - along
    if shape == "sphere":  # its bounding ball is the sphere itself
        return torch.where((inside > 0) & (leave > HIT), enter, torch.inf)

    def height(t: Tensor) -> Tensor:
        return distance(shape, origin + t * direction)

    if solid.convex:
        arrived, t = _secant(height, enter)
    else:
        t = enter + 0.01  # a torus may shade itself: leave its surface
        for _ in range(_TORUS_STEPS):
            h = height(t)
            # Rays that graze the near rim must get past it; a step too far is taken back.
            t = t + torch.where(h > HIT, h.clamp(min=_LEAST_STEP), h)
        arrived = height(t) < _ARRIVED
    return torch.where((inside > 0) & arrived & (t < leave + _ARRIVED), t, torch.inf)


def _secant(
    height: Callable[[Tensor], Tensor], start: Float[Tensor, " p"]
) -> tuple[Tensor, Float[Tensor, " p"]]:
    """Find the first root of a convex function by secants from its left.

    The distance to a convex body is convex along a line, so a secant through two points before the
    root meets zero before the root as well: steps are as safe as sphere tracing's, and far longer.
    """
    a, height_a = start, height(start)
    b = a + height_a
    height_b = height(b)
    missed = torch.zeros_like(b, dtype=torch.bool)
    for _ in range(_CONVEX_STEPS):
        fall = height_a - height_b
        above = height_b > HIT
        falls = fall > 0
        step = torch.where(above & falls, height_b * (b - a) / fall, 0.0)
        missed |= above & ~falls
        a, height_a = b, height_b
        # Where a ray climbs already, the step stays 0 and the pair stays missed.
        b = b + step
        height_b = height(b)
    return ~missed & (height_b < _ARRIVED), b
