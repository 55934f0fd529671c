"""What reaches a point: soft shadow of the key light, and how open its surroundings are."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.solids import SOLIDS, distance
from composer_pl.data.scenes.table import SceneTable
from composer_pl.data.scenes.tracing import (
    Pairs,
    Rays,
    Vectors,
    by_shape,
    dot,
    near_pairs,
    spread,
    to_local,
    turned,
)
from composer_pl.data.scenes.vocabulary import SHAPES

_GOLDEN = 0.6180339887498949
_GOLDEN_STEPS = 8
_CLEARANCE = 0.02  # of a shadow ray's origin, in scene units
_TAPS = ((0.06, 0.30), (0.22, 0.32), (0.6, 0.30))  # (height above the surface, weight)


def key_light(
    table: SceneTable, points: Vectors, picture: Int[Tensor, " n"], own: Int[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Share of the key light's disc that each point sees, in [0, 1].

    An object hides the part of the disc beyond a straight edge. Its place follows from the least
    ratio of signed distance to path length along the ray to the disc's middle, which is found by
    golden section: for a convex solid the ratio has one minimum.

    Args:
        table: The scenes.
        points: Where light falls.
        picture: Column of each point's picture.
        own: Column of the object that each point lies on, -1 for the floor.
    """
    rays = Rays(points, table.light[:3, picture], picture)
    softness = table.light[6, picture]
    pairs = near_pairs(table, rays, widening=softness, own=own)

    def one_shape(shape: str, where: Tensor) -> Tensor:
        ray, item = pairs.ray[where], pairs.item[where]
        scale = table.place[3, item]
        origin = to_local(table, points[:, ray], item)
        direction = turned(table, rays.direction[:, ray], item)
        middle = -dot(origin, direction)
        half = SOLIDS[shape].bound * (1 + softness[ray])
        first = torch.maximum(middle - half, _CLEARANCE / scale)
        last = torch.maximum(middle + half, first + 0.01)
        if SOLIDS[shape].convex:
            return _least_ratio(shape, origin, direction, first, last)
        # Along a ray through its hole a torus is near twice, before and behind its middle.
        centre = torch.minimum(torch.maximum(middle, first + 0.005), last)
        return torch.minimum(
            _least_ratio(shape, origin, direction, first, centre),
            _least_ratio(shape, origin, direction, centre, last),
        )

    edge = (by_shape(table, pairs.item, one_shape) / softness[pairs.ray]).clamp(-1, 1)
    # The part of a disc on one side of a line, to within 0.01 of the circle's own formula.
    seen = 0.5 + edge * (0.75 - 0.25 * edge * edge)
    shares = spread(seen, pairs, table.slots, points.shape[1], empty=1.0)
    return shares.amin(0)


def openness(
    table: SceneTable,
    points: Vectors,
    normal: Vectors,
    picture: Int[Tensor, " n"],
    own: Int[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """Ambient occlusion in [0, 1], 1 in the open: how much nearer solids are than three taps.

    Args:
        table: The scenes.
        points: Where light falls.
        normal: Unit normals there.
        picture: Column of each point's picture.
        own: Column of the object that each point lies on, -1 for the floor.
    """
    pairs = _close_pairs(table, points, picture, own)

    def one_shape(shape: str, where: Tensor) -> Tensor:
        ray, item = pairs.ray[where], pairs.item[where]
        scale = table.place[3, item]
        origin = to_local(table, points[:, ray], item)
        direction = turned(table, normal[:, ray], item)
        hidden = torch.zeros_like(scale)
        for height, weight in _TAPS:
            tap = distance(shape, origin + (height / scale) * direction) * scale
            hidden = hidden + weight * ((height - tap) / height).clamp(0, 1)
        return 1 - hidden

    shares = spread(
        by_shape(table, pairs.item, one_shape), pairs, table.slots, points.shape[1], empty=1.0
    )
    result = shares[0]
    for slot in range(1, table.slots):  # in this order, which a reduction would not promise
        result = result * shares[slot]
    floor = torch.zeros_like(result)
    for height, weight in _TAPS:
        tap = points[1] + height * normal[1]
        floor = floor + weight * ((height - tap) / height).clamp(0, 1)
    return result * torch.where(own >= 0, 1 - floor, 1.0)


def _close_pairs(
    table: SceneTable, points: Vectors, picture: Int[Tensor, " n"], own: Int[Tensor, " n"]
) -> Pairs:
    """Points with the objects whose bounding balls are within reach of the taps."""
    torus = SHAPES.index("torus")
    found = []
    for slot in range(table.slots):
        item = picture * table.slots + slot
        ball = table.place[:, item]
        offset = points - ball[:3]
        reach = ball[6] + _TAPS[-1][0]
        near = (dot(offset, offset) < reach * reach) & (ball[6] > 0)
        near &= (own != item) | (table.shape[item] == torus)
        ray = near.nonzero().flatten()
        found.append((ray, torch.full_like(ray, slot), item[ray]))
    ray, slot, item = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Pairs(ray, slot, item)


def _least_ratio(
    shape: str,
    origin: Vectors,
    direction: Vectors,
    first: Float[Tensor, " p"],
    last: Float[Tensor, " p"],
) -> Float[Tensor, " p"]:
    """Least signed distance over path length on a stretch of each ray."""

    def ratio(t: Tensor) -> Tensor:
        return distance(shape, origin + t * direction) / t

    width = (last - first) * _GOLDEN
    low, high = last - width, first + width
    at_low, at_high = ratio(low), ratio(high)
    best = torch.minimum(at_low, at_high)
    for _ in range(_GOLDEN_STEPS):
        left = at_low < at_high  # the minimum lies left of `high`
        last = torch.where(left, high, last)
        first = torch.where(left, first, low)
        width = (last - first) * _GOLDEN
        probe = torch.where(left, last - width, first + width)
        value = ratio(probe)
        low, high = torch.where(left, probe, high), torch.where(left, low, probe)
        at_low, at_high = torch.where(left, value, at_high), torch.where(left, at_low, value)
        best = torch.minimum(best, value)
    return best
