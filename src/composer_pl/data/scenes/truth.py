"""What is in a rendering, as conditions and annotations need it, all of it from geometry."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer_pl.data.scenes.captions import captions
from composer_pl.data.scenes.render import Rendering
from composer_pl.data.scenes.vocabulary import SHAPES

_QUANTILES = (0.01, 0.99)  # the condition `depth` saturates the same shares
_CREASE = 0.70  # cosine between the normals of neighbouring pixels
_STEP = 0.12  # relative jump of depth within one object


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One object as the picture shows it.

    Attributes:
        id: Its number in `Rendering.ids`; ids count from the nearest object.
        category: Its class, the index of its shape in `vocabulary.SHAPES`.
        box: Left, top, width and height in pixels of what is visible.
        area: Visible pixels.
        visible: Visible share of the pixels it would cover alone.
    """

    id: int
    category: int
    box: tuple[int, int, int, int]
    area: int
    visible: float


def instances(rendering: Rendering, picture: int) -> list[Instance]:
    """Objects of one picture of which at least a pixel is seen, the nearest first."""
    found = []
    seen, whole = rendering.seen_masks(picture), rendering.whole_masks(picture)
    for position, thing in enumerate(rendering.scenes[picture].objects):
        mask = seen[position]
        area = int(mask.sum())
        if not area:
            continue
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        left, top = int(columns[0]), int(rows[0])
        box = (left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
        found.append(
            Instance(
                id=position + 1,
                category=SHAPES.index(thing.shape),
                box=box,
                area=area,
                visible=area / int(whole[position].sum()),
            )
        )
    return found


def near_depth(depth: Float[Tensor, "b s s"]) -> Float[Tensor, "b 1 s s"]:
    """Inverse depth in [0, 1], near is 1: the convention of the condition `depth`.

    Each picture's inverse depth (0 in the sky) is stretched so that its farthest and nearest
    hundredths saturate; a picture of one depth is 0 everywhere.
    """
    inverse = 1 / depth
    ordered = inverse.flatten(1).sort(1).values
    far, near = (_at_share(ordered, share)[:, None, None] for share in _QUANTILES)
    width = near - far
    flat = width <= 1e-4 * near
    scaled = ((inverse - far) / torch.where(flat, 1.0, width)).clamp(0, 1)
    return torch.where(flat, 0.0, scaled)[:, None]


def outlines(rendering: Rendering) -> Float[Tensor, "b 1 s s"]:
    """Lines, one pixel wide, where another object begins, an edge runs or a surface steps back.

    1 on lines, 0 elsewhere; the horizon and the pattern of surfaces are no lines.
    """
    ids, normal, depth = rendering.ids, rendering.normal, rendering.depth
    border = _marked(*(a != b for a, b in _neighbours(ids)))
    pairs = zip(_neighbours(ids), _neighbours(depth), _neighbours(normal), strict=True)
    edge = _marked(*(_breaks(*pair) for pair in pairs))
    # At a rounded rim normals turn fast as well: no second line beside that of the border.
    beside = torch.nn.functional.max_pool2d(border.float()[:, None], 3, 1, 1)[:, 0] > 0
    return (border | (edge & ~beside)).float()[:, None]


def instance_classes(rendering: Rendering) -> Int[Tensor, "b s s"]:
    """Class seen at each pixel, -1 on floor and sky."""
    shapes = [[SHAPES.index(o.shape) for o in scene.objects] for scene in rendering.scenes]
    width = rendering.layers.shape[1] + 1
    table = torch.full((len(shapes), width), -1, device=rendering.layers.device)
    for row, classes in enumerate(shapes):
        table[row, 1 : len(classes) + 1] = torch.tensor(classes, device=table.device)
    flat = rendering.ids.flatten(1).long()
    return table.gather(1, flat).view(rendering.ids.shape)


def truth_record(rendering: Rendering, picture: int, *, texts: int = 5) -> dict[str, Any]:
    """Everything about one picture that is not a map of pixels, as plain JSON."""
    scene = rendering.scenes[picture]
    record = scene.to_dict()
    record["captions"] = [caption.text for caption in captions(scene, texts)]
    record["instances"] = [
        {
            "id": found.id,
            "category": found.category,
            "box": list(found.box),
            "area": found.area,
            "visible": round(found.visible, 4),
        }
        for found in instances(rendering, picture)
    ]
    return record


def _at_share(ordered: Float[Tensor, "b n"], share: float) -> Float[Tensor, " b"]:
    """Quantile of sorted values, between the two nearest."""
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (ordered[:, above] - ordered[:, below]) * (place - below)


def _neighbours(values: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Values and those one column to the right, values and those one row below."""
    right = values[..., :, :-1], values[..., :, 1:]
    return right, (values[..., :-1, :], values[..., 1:, :])


def _marked(right: Bool[Tensor, "b s _w"], below: Bool[Tensor, "b _h s"]) -> Bool[Tensor, "b s s"]:
    """Mark the left or upper pixel of each pair."""
    out = torch.zeros(right.shape[0], right.shape[1], right.shape[1], dtype=torch.bool)
    out = out.to(right.device)
    out[:, :, :-1] |= right
    out[:, :-1] |= below
    return out


def _breaks(
    ids: tuple[Tensor, Tensor], depth: tuple[Tensor, Tensor], normal: tuple[Tensor, Tensor]
) -> Tensor:
    """Tell where one object's surface turns sharply or steps back between two pixels."""
    (i, j), (d, e), (n, m) = ids, depth, normal
    cosine = n[:, 0] * m[:, 0] + n[:, 1] * m[:, 1] + n[:, 2] * m[:, 2]
    step = (d - e).abs() > _STEP * torch.minimum(d, e)
    return (i == j) & (i > 0) & ((cosine < _CREASE) | step)
