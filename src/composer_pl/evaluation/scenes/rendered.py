"""Scenes rendered with all that is known of them, as tensors: what the truth is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int8, UInt8
from torch import Tensor

from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.truth import instance_classes, near_depth, outlines
from composer_pl.data.scenes.vocabulary import ATTRIBUTES, COLORS, MAX_OBJECTS, PATTERNS

UNSEEN = 10_000_000
"""Scenes of the seed 0 from here on were in no training set of a shipped model or judge."""

_COLUMNS = (
    ("size", tuple(ATTRIBUTES["size"])),
    ("material", tuple(ATTRIBUTES["material"])),
    ("color", tuple(ATTRIBUTES["color"])),
    ("shape", tuple(ATTRIBUTES["shape"])),
    ("pattern", PATTERNS),
    ("second_color", tuple(COLORS)),
)
SIZE, MATERIAL, COLOR, SHAPE, PATTERN, SECOND_COLOR = range(len(_COLUMNS))
"""Columns of `attributes`."""


@runtime_checkable
class SceneTensors(Protocol):
    """What `truth_of` reads; a training corpus has it too.

    Attributes:
        scenes: The descriptions.
        pixels: sRGB `(n, 3, s, s)`, 8 bits; s is 64 or a multiple of it.
        ids: Instance seen at each pixel `(n, s, s)`; 0 is none, object i is i + 1.
        classes: Index in `vocabulary.SHAPES` `(n, s, s)`, -1 on floor and sky.
        depth: `near_depth` times 255 `(n, s, s)`: near is 255.
        outlines: True where a line runs `(n, s, s)`.
        attributes: Size, material, colour, shape, pattern, second colour of each object as indices
            in the order of the vocabulary; -1 is none, a row of -1 no object `(n, 5, 6)`.
    """

    scenes: list[Scene]
    pixels: Tensor
    ids: Tensor
    classes: Tensor
    depth: Tensor
    outlines: Tensor
    attributes: Tensor


@dataclass(kw_only=True)
class RenderedScenes:
    """`SceneTensors` that were rendered here; fields as there."""

    scenes: list[Scene]
    pixels: UInt8[Tensor, "n 3 s s"]
    ids: UInt8[Tensor, "n s s"]
    classes: Int8[Tensor, "n s s"]
    depth: UInt8[Tensor, "n s s"]
    outlines: Bool[Tensor, "n s s"]
    attributes: Int8[Tensor, "n 5 6"]


def render_scenes(
    scenes: Sequence[Scene], size: int = 128, *, device: torch.device | str = "cpu"
) -> RenderedScenes:
    """Render scenes with their truth.

    Args:
        scenes: At least one.
        size: Side in pixels.
        device: Where to render; the tensors lie there.
    """
    drawn = render(scenes, size, device=device)
    return RenderedScenes(
        scenes=list(scenes),
        pixels=drawn.pixels,
        ids=drawn.ids,
        classes=instance_classes(drawn).to(torch.int8),
        depth=(near_depth(drawn.depth)[:, 0] * 255).round().to(torch.uint8),
        outlines=outlines(drawn)[:, 0] > 0,
        attributes=attributes_of(scenes).to(device),
    )


def attributes_of(scenes: Sequence[Scene]) -> Int8[Tensor, "n 5 6"]:
    """Attributes of all objects as indices, see `SceneTensors`."""
    table = torch.full((len(scenes), MAX_OBJECTS, len(_COLUMNS)), -1, dtype=torch.int8)
    for row, scene in zip(table, scenes, strict=True):
        for cells, thing in zip(row, scene.objects, strict=False):
            for column, (name, values) in enumerate(_COLUMNS):
                value = getattr(thing, name)
                cells[column] = values.index(value) if value else -1
    return table
