"""What is true of scenes at 64 px: what the judge learns, and what pictures are scored against."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer_pl.data.scenes.captions import caption
from composer_pl.data.scenes.claims import sky_is_seen
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.vocabulary import COLORS, FLOORS, MATERIALS, SHAPES, SIZES, SKIES
from composer_pl.evaluation.scenes.rendered import (
    COLOR,
    MATERIAL,
    SECOND_COLOR,
    SHAPE,
    SIZE,
    SceneTensors,
)

SIDE = 64
"""Side of the pictures that the judge reads."""

PAIRS: tuple[str, ...] = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
SIZE_MATERIALS: tuple[str, ...] = tuple(f"{s} {m}" for s in SIZES for m in MATERIALS)


@dataclass(kw_only=True)
class Truth:
    """Pictures and what is in them.

    Attributes:
        image: The true pictures at 64 px in [-1, 1].
        shapes: Share of each pixel that shows each of the seven shapes, or floor and sky (last).
        colors: Share of each pixel of each of the eight colours, or floor and sky (last); the two
            colours of a pattern count half each.
        depth: Near is 1.
        outlines: True where a line runs.
        pairs: Which of `PAIRS` an object has, with its own colour or its pattern's second one.
        size_materials: Which of `SIZE_MATERIALS` an object has.
        materials: Which of `MATERIALS` an object has.
        count: Objects.
        floor: Index in `FLOORS`.
        sky: Index in `SKIES`, -1 where none is to be seen.
    """

    image: Float[Tensor, "b 3 64 64"]
    shapes: Float[Tensor, "b 8 64 64"]
    colors: Float[Tensor, "b 9 64 64"]
    depth: Float[Tensor, "b 64 64"]
    outlines: Bool[Tensor, "b 64 64"]
    pairs: Bool[Tensor, "b 56"]
    size_materials: Bool[Tensor, "b 12"]
    materials: Bool[Tensor, "b 4"]
    count: Int[Tensor, " b"]
    floor: Int[Tensor, " b"]
    sky: Int[Tensor, " b"]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: slice | Tensor) -> "Truth":
        return Truth(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence["Truth"]) -> "Truth":
        """Several of them as one."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def surroundings(scenes: Sequence[Scene], device: torch.device | str) -> Int[Tensor, "n 2"]:
    """Floor and sky of scenes as in `Truth`."""
    floors: list[str] = list(FLOORS)
    skies: list[str] = list(SKIES)
    rows = [
        (floors.index(s.surroundings.floor), skies.index(s.surroundings.sky))
        if sky_is_seen(s)
        else (floors.index(s.surroundings.floor), -1)
        for s in scenes
    ]
    return torch.tensor(rows, dtype=torch.int64).view(-1, 2).to(device)


def small(pixels: Tensor) -> Float[Tensor, "b 3 64 64"]:
    """8-bit pictures -> the true pictures of 64 px in [-1, 1]: means of their pixels."""
    return F.avg_pool2d(pixels.float(), pixels.shape[-1] // SIDE) / 127.5 - 1


def truth_of(corpus: SceneTensors, rows: Int[Tensor, " b"], around: Int[Tensor, "n 2"]) -> Truth:
    """Gather the truth of some scenes, on their device, without waiting for it.

    Args:
        corpus: The scenes.
        rows: Which of them, on the same device.
        around: `surroundings` of all scenes of the corpus.
    """
    factor = corpus.pixels.shape[-1] // SIDE
    attributes = corpus.attributes[rows].long()
    size, material, color, shape, second = (
        attributes[:, :, column] for column in (SIZE, MATERIAL, COLOR, SHAPE, SECOND_COLOR)
    )
    there = shape >= 0
    pairs = _any_of(color * len(SHAPES) + shape, there, len(PAIRS))
    pairs |= _any_of(second * len(SHAPES) + shape, there & (second >= 0), len(PAIRS))
    ids = corpus.ids[rows].long()
    none = color.new_full((len(rows), 1), len(COLORS))
    main = torch.cat([none, color.clamp(min=0)], 1)
    other = torch.cat([none, torch.where(second >= 0, second, color.clamp(min=0))], 1)
    flat = ids.flatten(1)
    shares = [
        _shares(table.gather(1, flat).view(ids.shape), len(COLORS) + 1) for table in (main, other)
    ]
    classes = corpus.classes[rows].long()
    around = around[rows]
    return Truth(
        image=small(corpus.pixels[rows]),
        shapes=_shares(torch.where(classes < 0, len(SHAPES), classes), len(SHAPES) + 1),
        colors=(shares[0] + shares[1]) / 2,
        depth=F.avg_pool2d(corpus.depth[rows].float()[:, None], factor)[:, 0] / 255,
        outlines=F.max_pool2d(corpus.outlines[rows].float()[:, None], factor)[:, 0] > 0,
        pairs=pairs,
        size_materials=_any_of(size * len(MATERIALS) + material, there, len(SIZE_MATERIALS)),
        materials=_any_of(material, there, len(MATERIALS)),
        count=there.sum(1),
        floor=around[:, 0],
        sky=around[:, 1],
    )


def whole_truth(corpus: SceneTensors) -> Truth:
    """The truth of all scenes of a small corpus."""
    rows = torch.arange(len(corpus.scenes), device=corpus.pixels.device)
    around = surroundings(corpus.scenes, rows.device)
    return Truth.joined([truth_of(corpus, part, around) for part in rows.split(256)])


def claimed_pairs(scenes: Sequence[Scene], *, number: int = 0) -> Bool[Tensor, "b 56"]:
    """Which of `PAIRS` a caption of each scene claims.

    Args:
        scenes: The scenes.
        number: Which of a scene's captions; number 0 names the colour of all it mentions.
    """
    marks = torch.zeros(len(scenes), len(PAIRS), dtype=torch.bool)
    for row, scene in zip(marks, scenes, strict=True):
        for claim in caption(scene, number).claims:
            if claim.kind == "objects" and {"color", "shape"} <= claim.attributes.keys():
                row[PAIRS.index(f"{claim.attributes['color']} {claim.attributes['shape']}")] = True
    return marks


def _any_of(index: Tensor, there: Tensor, count: int) -> Bool[Tensor, "b _count"]:
    """Mark the indices of the objects that are there."""
    marks = torch.zeros(len(index), count + 1, dtype=torch.bool, device=index.device)
    return marks.scatter(1, torch.where(there, index, count), True)[:, :count]


def _shares(index: Int[Tensor, "b s s"], count: int) -> Float[Tensor, "b _count 64 64"]:
    """Share of each of `count` values among the pixels that make one."""
    factor = index.shape[-1] // SIDE
    values = torch.arange(count, device=index.device)[:, None, None, None, None]
    same = index.view(len(index), 1, SIDE, factor, SIDE, factor) == values
    return same.float().mean((3, 5))
