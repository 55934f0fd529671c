"""The condition's value, and a detector's targets, from scenes whose truth is known."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int8, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from composer_pl_instances.codes import category_code

SHAPE_COLUMN = 3
"""Where `attributes` holds the index of an object's shape; -1 there means no object."""

_CHUNK = 1024  # pictures at once, so that their masks fit into memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What a detector should find. Slot i of a picture is the object whose id is i + 1.

    Attributes:
        boxes: Centre, width and height of what is seen, as shares of the picture; 0 where `seen`
            is False.
        classes: Index of the shape; 0 where `seen` is False.
        seen: False for an empty slot, and for an object of which too little is seen.
    """

    boxes: Float[Tensor, "n slots 4"]
    classes: Int[Tensor, "n slots"]
    seen: Bool[Tensor, "n slots"]


def truth_values(
    ids: UInt8[Tensor, "b h w"],
    attributes: Int8[Tensor, "b slots 6"],
    size: int,
    *,
    canvas: int | None = None,
) -> Float[Tensor, "b 5 size size"]:
    """The value of the condition `instances` painted from the truth, without a loop.

    Equal to `painting.paint_labels` picture by picture, then brought to `size` by area.

    Args:
        ids: Instance seen at each pixel, 0 none, object i is i + 1.
        attributes: Of each object; column 3 is the index of its shape, -1 none.
        size: Side of the answer.
        canvas: Side at which boundaries are drawn, one pixel wide; None for that of `ids`. Give
            the canvas of an extractor (256 for `tiny-scenes`) to get lines as fine as its lines.
    """
    if canvas is not None and canvas != ids.shape[-1]:
        ids = interpolate(ids[:, None], size=(canvas, canvas), mode="nearest-exact")[:, 0]
    shapes = attributes[..., SHAPE_COLUMN].long()
    known = 128  # whatever int8 can hold: asking for the largest index would wait for the device
    codes = category_code(torch.arange(known)).to(ids.device)[shapes.clamp(min=0)]
    codes = codes * (shapes >= 0)[..., None]
    table = torch.cat([torch.zeros_like(codes[:, :1]), codes], 1)
    number = ids.long()
    picture = torch.arange(len(ids), device=ids.device)[:, None, None]
    code = table[picture, number].permute(0, 3, 1, 2)
    right, left = ids[:, :, 1:], ids[:, :, :-1]
    lower, upper = ids[:, 1:], ids[:, :-1]
    boundary = torch.zeros_like(ids, dtype=torch.bool)
    boundary[:, :, :-1] |= (left != right) & (left > 0) & (right > 0)
    boundary[:, :-1] |= (upper != lower) & (upper > 0) & (lower > 0)
    value = torch.cat([(ids > 0).float()[:, None], code, boundary.float()[:, None]], 1)
    return value if value.shape[-1] == size else interpolate(value, size=(size, size), mode="area")


def targets(
    ids: UInt8[Tensor, "n h w"], attributes: Int8[Tensor, "n slots 6"], *, least: int = 12
) -> Targets:
    """Boxes and classes of every picture's objects, without a loop over pictures.

    Args:
        ids: As for `truth_values`.
        attributes: As for `truth_values`.
        least: Objects of which fewer pixels are seen are left out.
    """
    height, width = ids.shape[1:]
    scale = torch.tensor([width, height, width, height], device=ids.device)
    boxes, areas = [], []
    numbers = torch.arange(1, attributes.shape[1] + 1, device=ids.device, dtype=ids.dtype)
    for part in ids.split(_CHUNK):
        masks = part[:, None] == numbers[:, None, None]
        areas.append(masks.flatten(2).sum(2))
        left, right = _extent(masks.any(2))
        top, bottom = _extent(masks.any(3))
        box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        boxes.append(torch.stack(box, 2) / scale)
    shapes = attributes[..., SHAPE_COLUMN].long()
    seen = (torch.cat(areas) >= least) & (shapes >= 0)
    return Targets(
        boxes=torch.cat(boxes) * seen[..., None], classes=shapes.clamp(min=0) * seen, seen=seen
    )


def _extent(line: Bool[Tensor, "n slots w"]) -> tuple[Tensor, Tensor]:
    """First edge and edge after the last True of each line."""
    first = line.int().argmax(2)
    last = line.shape[2] - line.flip(2).int().argmax(2)
    return first.float(), last.float()
