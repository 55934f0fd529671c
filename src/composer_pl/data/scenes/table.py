"""Scenes as tensors: one column a picture or an object, gathered by whoever traces or shades."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.layout import bound
from composer_pl.data.scenes.looks import SKY_LOOKS, floor_colors, object_color
from composer_pl.data.scenes.vocabulary import FLOORS, MATERIALS, PATTERNS, SHAPES


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneTable:
    """Columns of `b` pictures with `slots` places for objects each.

    Object `slot` of picture `i` is column `i * slots + slot`; an empty place has the shape -1.

    Attributes:
        slots: Places for objects in every picture.
        shapes: Names of the shapes that occur.
        camera: Position (3), cosine and sine of the pitch, tangent of the half angle.
        light: Direction (3), color (3), softness.
        sky: Zenith (3), horizon (3), glow (3), ambient, clouds, stars, offset.
        floor: First (3) and second colour (3), cosine and sine of the turn, 1 / scale.
        floor_kind: Index in `FLOORS`.
        place: Middle (3), scale, cosine and sine of the turn, radius of the bounding ball.
        colors: First (3) and second (3) colour.
        shape: Index in `SHAPES`, or -1.
        material: Index in `MATERIALS`.
        pattern: Index in `PATTERNS`, or -1.
    """

    slots: int
    shapes: tuple[str, ...]
    camera: Float[Tensor, "6 b"]
    light: Float[Tensor, "7 b"]
    sky: Float[Tensor, "13 b"]
    floor: Float[Tensor, "9 b"]
    floor_kind: Int[Tensor, " b"]
    place: Float[Tensor, "7 items"]
    colors: Float[Tensor, "6 items"]
    shape: Int[Tensor, " items"]
    material: Int[Tensor, " items"]
    pattern: Int[Tensor, " items"]


def scene_table(scenes: Sequence[Scene], device: torch.device | str = "cpu") -> SceneTable:
    """Lay scenes out as tensors on a device."""
    slots = max((len(scene.objects) for scene in scenes), default=0) or 1
    rows = [_picture_row(scene) for scene in scenes]
    place, colors, kinds = [], [], []
    for scene in scenes:
        for thing in scene.objects:
            turn = (math.cos(thing.rotation), math.sin(thing.rotation))
            place.append((*thing.position, thing.scale, *turn, bound(thing)))
            second = object_color(thing.second_color) if thing.second_color else (0.0, 0.0, 0.0)
            colors.append((*object_color(thing.color), *second))
            kinds.append(
                (
                    SHAPES.index(thing.shape),
                    MATERIALS.index(thing.material),
                    PATTERNS.index(thing.pattern) if thing.pattern else -1,
                )
            )
        empty = slots - len(scene.objects)
        place += [(0.0, -9.0, 0.0, 1.0, 1.0, 0.0, 0.0)] * empty
        colors += [(0.0,) * 6] * empty
        kinds += [(-1, 0, -1)] * empty
    present = {thing.shape for scene in scenes for thing in scene.objects}
    shape, material, pattern = _integers(kinds, device)
    return SceneTable(
        slots=slots,
        shapes=tuple(name for name in SHAPES if name in present),
        camera=_columns([row[0] for row in rows], device),
        light=_columns([row[1] for row in rows], device),
        sky=_columns([row[2] for row in rows], device),
        floor=_columns([row[3] for row in rows], device),
        floor_kind=torch.tensor(
            [FLOORS.index(scene.surroundings.floor) for scene in scenes], device=device
        ),
        place=_columns(place, device),
        colors=_columns(colors, device),
        shape=shape,
        material=material,
        pattern=pattern,
    )


def _picture_row(scene: Scene) -> tuple[tuple[float, ...], ...]:
    camera, around = scene.camera, scene.surroundings
    look = SKY_LOOKS[around.sky]
    first, second = floor_colors(around.floor, around.floor_tone)
    turn = around.floor_rotation
    return (
        (
            *camera.position,
            math.cos(camera.pitch),
            math.sin(camera.pitch),
            math.tan(camera.half_angle),
        ),
        (*around.light, *look.light, look.softness),
        (
            *look.zenith,
            *look.horizon,
            *look.glow,
            look.ambient,
            look.clouds,
            look.stars,
            around.clouds,
        ),
        (*first, *second, math.cos(turn), math.sin(turn), 1 / around.floor_scale),
    )


def _columns(rows: list[tuple[float, ...]], device: torch.device | str) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).to(torch.float32).T.contiguous().to(device)


def _integers(rows: list[tuple[int, int, int]], device: torch.device | str) -> tuple[Tensor, ...]:
    return torch.tensor(rows, dtype=torch.int64).T.contiguous().to(device).unbind(0)
