"""Colour of what a ray meets: light, shadow, material and mirror images."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.occlusion import key_light, openness
from composer_pl.data.scenes.skies import power, sky_color
from composer_pl.data.scenes.surfaces import floor_color, object_color
from composer_pl.data.scenes.table import SceneTable
from composer_pl.data.scenes.tracing import (
    Rays,
    Vectors,
    dot,
    hits,
    near_pairs,
    normals,
    spread,
    unit,
)
from composer_pl.data.scenes.vocabulary import MATERIALS

SKY, FLOOR = -2, -1
"""Instead of an object's column, in `Hits.item`."""

_FAR = 34.0  # path length at which half of the floor has faded into the horizon


class Hits(NamedTuple):
    """What rays meet first.

    Attributes:
        length: Path length, infinite for the sky.
        item: Column of the object, or `SKY` or `FLOOR`.
    """

    length: Float[Tensor, " n"]
    item: Int[Tensor, " n"]


def floor_length(rays: Rays) -> Float[Tensor, " n"]:
    """Path length to the floor, infinite for rays that do not go down."""
    down = rays.direction[1] < -1e-6
    return torch.where(down, rays.origin[1] / -rays.direction[1].clamp(max=-1e-6), torch.inf)


def nearest(
    rays: Rays, slots: int, lengths: Float[Tensor, "slots n"], floor: Float[Tensor, " n"]
) -> Hits:
    """Choose the nearest of objects, floor and sky."""
    length, slot = lengths.min(0)
    on_object = length < floor
    ground = torch.where(floor < torch.inf, FLOOR, SKY)
    item = torch.where(on_object, rays.picture * slots + slot, ground)
    return Hits(torch.where(on_object, length, floor), item)


def shade(
    table: SceneTable,
    rays: Rays,
    met: Hits,
    normal: Vectors,
    spacing: Float[Tensor, " n"],
    *,
    bounces: int = 1,
) -> Float[Tensor, "3 n"]:
    """Light along rays, linear and not yet tone-mapped.

    Args:
        table: The scenes.
        rays: Rays from the camera or from a mirror.
        met: What they meet.
        normal: Unit normals of objects there; ignored elsewhere.
        spacing: Angle between neighbouring rays, for the width of patterns' averages.
        bounces: How often metal mirrors objects; after that it mirrors sky and floor only.
    """
    color = sky_color(table, rays.direction, rays.picture, detailed=True)
    solid = (met.item != SKY).nonzero().flatten()
    rays = Rays(rays.origin[:, solid], rays.direction[:, solid], rays.picture[solid])
    item, length = met.item[solid], met.length[solid]
    points = rays.origin + length * rays.direction
    up = torch.zeros_like(points)
    up[1] = 1
    on_floor = item == FLOOR
    normal = torch.where(on_floor, up, normal[:, solid])
    facing = (-dot(normal, rays.direction)).clamp(0.02, 1)
    footprint = length * spacing[solid] / torch.sqrt(facing)

    albedo = torch.empty_like(points)
    ground = on_floor.nonzero().flatten()
    things = (~on_floor).nonzero().flatten()
    albedo[:, ground] = floor_color(
        table, points[:, ground], rays.picture[ground], footprint[ground]
    )
    albedo[:, things] = object_color(
        table, points[:, things], normal[:, things], item[things], footprint[things]
    )
    lit = _lit(table, points, normal, rays, item, albedo, facing, bounces)
    # The floor fades into the horizon, so that no edge is left where it ends.
    horizon = table.sky[3:6, rays.picture]
    near = 1 / (1 + power(length * (1 / _FAR), 2))
    lit = torch.where(on_floor, horizon + (lit - horizon) * near, lit)
    color[:, solid] = lit
    return color


def _lit(
    table: SceneTable,
    points: Vectors,
    normal: Vectors,
    rays: Rays,
    item: Tensor,
    albedo: Tensor,
    facing: Tensor,
    bounces: int,
) -> Float[Tensor, "3 n"]:
    picture = rays.picture
    light = table.light[:, picture]
    slope = dot(normal, light[:3]).clamp(min=0)
    visible = key_light(table, points, picture, item)
    open_sky = openness(table, points, normal, picture, item)
    key = light[3:6] * (slope * visible)
    ambient = _ambient(table, normal[1], picture) * open_sky
    color = albedo * (key + ambient)

    material = torch.where(item >= 0, table.material[item.clamp(min=0)], -1)
    mirror = rays.direction + 2 * facing * normal
    gleam = (material == MATERIALS.index("shiny")) | (material == MATERIALS.index("metal"))
    where = gleam.nonzero().flatten()
    if not len(where):
        return color
    metal = material[where] == MATERIALS.index("metal")
    direction = unit(mirror[:, where])
    seen = _environment(
        table,
        Rays(points[:, where], direction, picture[where]),
        item[where],
        metal,
        open_sky[where],
        bounces,
    )
    edge = 1 - facing[where]
    fresnel = power(edge, 2) * edge  # softer than Schlick's fifth power, which 64 px hardly show
    highlight = dot(direction, light[:3, where]).clamp(min=0)
    sharp = 2.2 * power(highlight, 7) + 0.25 * power(highlight, 4)
    broad = 0.9 * power(highlight, 6) + 0.3 * power(highlight, 4)
    spot = light[3:6, where] * visible[where] * torch.where(metal, broad, sharp)
    spot = spot * (slope[where] > 0)
    tint = albedo[:, where] + (1 - albedo[:, where]) * (0.06 + 0.55 * fresnel)
    as_metal = tint * (seen * 0.95 + 0.22 * (key + ambient)[:, where] + spot)
    as_shiny = color[:, where] + (0.05 + 0.5 * fresnel) * seen + 0.5 * spot
    color[:, where] = torch.where(metal, as_metal, as_shiny)
    return color


def _ambient(table: SceneTable, up: Tensor, picture: Tensor) -> Float[Tensor, "3 n"]:
    """Light from the sky and back from the floor on a surface that faces `up` (its normal's y)."""
    rows, light = table.sky[:, picture], table.light[:, picture]
    sky = (0.45 * rows[:3] + 0.55 * rows[3:6]) * rows[9]
    floor = 0.5 * (table.floor[:3, picture] + table.floor[3:6, picture])
    ground = floor * (0.42 * light[3:6] * light[1] + 0.5 * sky)
    share = 0.5 + 0.5 * up
    return ground + (sky - ground) * share


def _environment(
    table: SceneTable, rays: Rays, item: Tensor, metal: Tensor, open_sky: Tensor, bounces: int
) -> Float[Tensor, "3 n"]:
    """What a mirror sees: sky and floor, and for metal also the objects and their shadows."""
    sky = sky_color(table, rays.direction, rays.picture, detailed=False)
    floor = table.floor[:, rays.picture]
    light = table.light[:, rays.picture]
    ground = 0.5 * (floor[:3] + floor[3:6])
    ground = ground * (
        light[3:6] * light[1] + _ambient(table, torch.ones_like(open_sky), rays.picture)
    )
    # A soft horizon; where the surface is hemmed in, its mirror image is darker too.
    share = (0.5 + rays.direction[1] * 6).clamp(0, 1)
    seen = (ground + (sky - ground) * share) * (0.35 + 0.65 * open_sky)
    where = metal.nonzero().flatten() if bounces else metal.new_zeros(0, dtype=torch.int64)
    if len(where):
        origin = rays.origin[:, where] + 0.01 * rays.direction[:, where]
        mirrored = Rays(origin, rays.direction[:, where], rays.picture[where])
        met, normal = first_hits(table, mirrored, own=item[where])
        spacing = torch.full_like(met.length, 0.02)  # a curved mirror spreads neighbouring rays
        seen[:, where] = shade(table, mirrored, met, normal, spacing, bounces=bounces - 1)
    return seen


def first_hits(table: SceneTable, rays: Rays, *, own: Tensor) -> tuple[Hits, Vectors]:
    """Trace rays that begin on objects; return what they meet and the normals there."""
    count = rays.picture.shape[0]
    pairs = near_pairs(table, rays, own=own)
    lengths = spread(hits(table, rays, pairs), pairs, table.slots, count, empty=torch.inf)
    met = nearest(rays, table.slots, lengths, floor_length(rays))
    normal = torch.zeros_like(rays.direction)
    where = (met.item >= 0).nonzero().flatten()
    points = rays.origin[:, where] + met.length[where] * rays.direction[:, where]
    normal[:, where] = normals(table, points, met.item[where])
    return met, normal
