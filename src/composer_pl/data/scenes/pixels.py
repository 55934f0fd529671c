"""From a block of pixels to colours and truth: where samples go and which of them are shaded.

Only pixels near an object get several samples; sky and floor, whose patterns are averaged exactly,
need one. Of a pixel's samples those are shaded that see another surface, or the same one from
another side; the rest share their colour.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from composer_pl.data.scenes.shading import Hits, floor_length, nearest, shade
from composer_pl.data.scenes.table import SceneTable
from composer_pl.data.scenes.tracing import Pairs, Rays, dot, hits, near_pairs, normals, spread

SAMPLES: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.0, 0.0),),
    5: ((0.0, 0.0), (0.125, 0.375), (0.375, -0.125), (-0.125, -0.375), (-0.375, 0.125)),
    9: (
        (0.0, 0.0),
        *((x / 3, y / 3) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)),
    ),
}
"""Number of samples -> offsets from the pixel's middle, which comes first: truth is taken there."""

_ALIKE = 0.985  # cosine between normals that share one shading


class PixelBlock(NamedTuple):
    """What was found at some pixels.

    Attributes:
        color: Display-linear colour in [0, 1].
        layers: Instance ids along the ray through the pixel's middle, the nearest first, 0 after
            the last; id = slot + 1.
        depth: Distance along the camera's axis, infinite in the sky.
        normal: Unit normal, up on the floor, zero in the sky.
    """

    color: Float[Tensor, "3 n"]
    layers: UInt8[Tensor, "slots n"]
    depth: Float[Tensor, " n"]
    normal: Float[Tensor, "3 n"]


def camera_rays(
    table: SceneTable, picture: Tensor, column: Tensor, row: Tensor, size: int
) -> tuple[Rays, Float[Tensor, " n"]]:
    """Rays through points of the picture, and the cosine between each and the camera's axis.

    Args:
        table: The scenes.
        picture: Column of each point's picture.
        column: Distance from the left edge in pixels.
        row: Distance from the upper edge in pixels.
        size: Side of the picture in pixels.
    """
    camera = table.camera[:, picture]
    u = (column * (2 / size) - 1) * camera[5]
    v = (1 - row * (2 / size)) * camera[5]
    cosine = 1 / torch.sqrt(u * u + v * v + 1)
    c, s = camera[3], camera[4]
    direction = torch.stack([u, v * c - s, v * s + c]) * cosine
    return Rays(camera[:3], direction, picture), cosine


def trace_pixels(
    table: SceneTable, number: Int[Tensor, " n"], size: int, samples: int
) -> PixelBlock:
    """Draw pixels, counted through all pictures of the table, row by row.

    Args:
        table: The scenes.
        number: Which pixels.
        size: Side of a picture in pixels.
        samples: A key of `SAMPLES`.
    """
    picture = number // (size * size)
    row = (number % (size * size)) // size
    column = number % size
    middle_x, middle_y = column.float() + 0.5, row.float() + 0.5
    rays, cosine = camera_rays(table, picture, middle_x, middle_y, size)
    spacing = table.camera[5, picture] * (2 / size)
    pairs = near_pairs(table, rays, widening=spacing)

    lengths = spread(hits(table, rays, pairs), pairs, table.slots, len(number), empty=torch.inf)
    met = nearest(rays, table.slots, lengths, floor_length(rays))
    normal = _normals(table, rays, met)
    color = torch.empty_like(rays.direction)

    candidate = torch.zeros_like(number, dtype=torch.bool)
    candidate[pairs.ray] = True
    plain = (~candidate).nonzero().flatten()
    block = Rays(rays.origin[:, plain], rays.direction[:, plain], picture[plain])
    color[:, plain] = tone_map(
        shade(table, block, _pick(met, plain), normal[:, plain], spacing[plain])
    )

    busy = candidate.nonzero().flatten()
    place = torch.empty_like(number)
    place[busy] = torch.arange(len(busy), device=number.device)
    near = Pairs(place[pairs.ray], pairs.slot, pairs.item)
    traced = [(_rays_at(rays, busy), _pick(met, busy), normal[:, busy])]
    if samples > 1 and len(busy):
        around = (picture[busy], middle_x[busy], middle_y[busy])
        traced += _other_samples(table, near, around, SAMPLES[samples][1:], size)
    color[:, busy] = _shade_samples(table, traced, spacing[busy])

    up = torch.zeros_like(normal)
    up[1] = 1
    on_ground = (met.item < 0) & (met.length < torch.inf)
    return PixelBlock(
        color=color,
        layers=_layers(lengths),
        depth=met.length * cosine,
        normal=torch.where(on_ground, up, normal),
    )


def tone_map(light: Float[Tensor, "3 n"]) -> Float[Tensor, "3 n"]:
    """Bring light of any strength into [0, 1] with soft highlights (S. Hable's curve form)."""
    x = light * 0.82
    return ((x * (2.25 * x + 0.10)) / (x * (2.05 * x + 0.88) + 0.12)).clamp(0, 1)


def _other_samples(
    table: SceneTable,
    pairs: Pairs,
    around: tuple[Tensor, Tensor, Tensor],
    offsets: tuple[tuple[float, float], ...],
    size: int,
) -> list[tuple[Rays, Hits, Tensor]]:
    """Trace rays beside the middles of pixels, all offsets in one list.

    Args:
        table: The scenes.
        pairs: The pixels with the objects near them.
        around: Picture, column and row of each pixel's middle.
        offsets: Where the samples lie.
        size: Side of a picture in pixels.
    """
    picture, x, y = around
    count, times = len(picture), len(offsets)
    rays, _ = camera_rays(
        table,
        picture.repeat(times),
        torch.cat([x + dx for dx, _ in offsets]),
        torch.cat([y + dy for _, dy in offsets]),
        size,
    )
    many = Pairs(
        torch.cat([pairs.ray + k * count for k in range(times)]),
        pairs.slot.repeat(times),
        pairs.item.repeat(times),
    )
    lengths = spread(hits(table, rays, many), many, table.slots, count * times, empty=torch.inf)
    met = nearest(rays, table.slots, lengths, floor_length(rays))
    normal = _normals(table, rays, met)
    parts = [slice(k * count, (k + 1) * count) for k in range(times)]
    return [
        (
            Rays(rays.origin[:, part], rays.direction[:, part], rays.picture[part]),
            Hits(met.length[part], met.item[part]),
            normal[:, part],
        )
        for part in parts
    ]


def _shade_samples(
    table: SceneTable,
    traced: list[tuple[Rays, Hits, Tensor]],
    spacing: Float[Tensor, " n"],
) -> Float[Tensor, "3 n"]:
    """Mean colour of all samples, shading those that see something new."""
    count = traced[0][0].picture.shape[0]
    chosen: list[Tensor] = []  # for each sample: the sample that is shaded for it
    for s, (_, met, normal) in enumerate(traced):
        use = torch.full((count,), s, device=spacing.device)
        for r in range(s - 1, -1, -1):
            _, other, other_normal = traced[r]
            alike = (met.item == other.item) & (chosen[r] == r)
            alike &= (met.item < 0) | (dot(normal, other_normal) > _ALIKE)
            use = torch.where(alike, r, use)
        chosen.append(use)
    own = [(use == s).nonzero().flatten() for s, use in enumerate(chosen)]
    rays = [_rays_at(r, w) for (r, _, _), w in zip(traced, own, strict=True)]
    shaded = tone_map(
        shade(
            table,
            Rays(
                torch.cat([r.origin for r in rays], 1),
                torch.cat([r.direction for r in rays], 1),
                torch.cat([r.picture for r in rays]),
            ),
            Hits(
                torch.cat([met.length[w] for (_, met, _), w in zip(traced, own, strict=True)]),
                torch.cat([met.item[w] for (_, met, _), w in zip(traced, own, strict=True)]),
            ),
            torch.cat([normal[:, w] for (_, _, normal), w in zip(traced, own, strict=True)], 1),
            torch.cat([spacing[w] for w in own]),
        )
    )
    colors = shaded.new_empty(3, len(traced), count)
    for s, (part, where) in enumerate(
        zip(shaded.split([len(w) for w in own], 1), own, strict=True)
    ):
        colors[:, s, where] = part
    everyone = torch.arange(count, device=spacing.device)
    total = colors[:, 0]
    for use in chosen[1:]:
        total = total + colors[:, use, everyone]
    return total * (1 / len(traced))


def _normals(table: SceneTable, rays: Rays, met: Hits) -> Float[Tensor, "3 n"]:
    out = torch.zeros_like(rays.direction)
    where = (met.item >= 0).nonzero().flatten()
    points = rays.origin[:, where] + met.length[where] * rays.direction[:, where]
    out[:, where] = normals(table, points, met.item[where])
    return out


def _layers(lengths: Float[Tensor, "slots n"]) -> UInt8[Tensor, "slots n"]:
    """Ids of all objects on each ray, sorted by distance."""
    ordered, slot = lengths.sort(stable=True, dim=0)
    return torch.where(ordered < torch.inf, slot + 1, 0).to(torch.uint8)


def _pick(met: Hits, where: Tensor) -> Hits:
    return Hits(met.length[where], met.item[where])


def _rays_at(rays: Rays, where: Tensor) -> Rays:
    return Rays(rays.origin[:, where], rays.direction[:, where], rays.picture[where])
