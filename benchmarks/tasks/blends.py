"""What the frames from one picture to another have of either, and what they keep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from aspects import ASPECTS, Judged
from bootstrap import listed, mean_interval, shown
from jaxtyping import Float
from plans import MAPS
from torch import Tensor

from composer_pl.evaluation.intervals import way_interval
from composer_pl.evaluation.plain import lab
from composer_pl.evaluation.scenes.judge import Judge
from composer_pl_color.codebook import reference_lab

SEEN_IN_MAPS = ("shapes", "outlines", "depth")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is blended, and which aspects tell it.

    Attributes:
        blend: Conditions that go from the first picture to the second.
        keep: Conditions of the first that all frames have.
        changed: Aspects of the first that go, and of the second that come.
        kept: Aspects of the first that stay.
    """

    blend: Sequence[str]
    keep: Sequence[str] = ()
    changed: Sequence[str] = ()
    kept: Sequence[str] = ()


KINDS = {
    "semantics": Kind(blend=("semantics", "color"), changed=("pairs", "surroundings")),
    # Pairs are no aspect of the second here: their shapes are in the first one's maps.
    "semantics, maps kept": Kind(
        blend=("semantics", "color"), keep=MAPS, changed=("surroundings",), kept=SEEN_IN_MAPS
    ),
    "palette": Kind(blend=("color",), keep=MAPS, kept=SEEN_IN_MAPS),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The frames of several pairs of pictures.

    Attributes:
        pictures: In [-1, 1].
        palettes: What each frame was told.
        first: Scenes at the beginning.
        second: Scenes at the end.
    """

    pictures: Float[Tensor, "n frames 3 64 64"]
    palettes: Float[Tensor, "n frames 156"]
    first: Judged
    second: Judged

    def each(self, score: Callable[[int], Tensor]) -> Float[Tensor, "n frames"]:
        """A score of each frame, by its number."""
        return torch.stack([score(i) for i in range(self.pictures.shape[1])], 1)


def measured(judge: Judge, row: Row, kind: Kind) -> list[dict[str, Any]]:
    """Scores of every frame, with floor, ceiling and way; 1 is best.

    Floor and way are of the frames that are asked the whole aspect: the first one for what goes,
    the last for what comes, all for palettes and what is kept. The floor is the same frames
    against another pair, the ceiling the true pictures.
    """
    ends = (row.first, "the first", slice(0, 1)), (row.second, "the second", slice(-1, None))
    lines = [
        _judged(judge, row, "changed", aspect, whose, wanted, asked)
        for aspect in kind.changed
        for wanted, whose, asked in ends
    ]
    lines.append(_palette(row))
    lines += [
        _judged(judge, row, "kept", aspect, "the first", row.first, slice(None))
        for aspect in kind.kept
    ]
    return lines


def palette_nearness(
    pictures: Float[Tensor, "n 3 h w"], palettes: Float[Tensor, "n 156"]
) -> Float[Tensor, " n"]:
    """`lab_agreement` with a palette instead of a picture, by its reference colours."""
    ours = lab(pictures).flatten(2).sort(2).values
    ranks = (torch.arange(ours.shape[2]) + 0.5) / ours.shape[2]
    theirs = []
    for values in reference_lab().float().T:
        order = values.argsort()
        below = palettes[:, order].cumsum(1)
        below = below / below[:, -1:]  # exactly 1 at the end, so that every rank has a colour
        place = torch.searchsorted(below, ranks.expand(len(below), -1).contiguous())
        theirs.append(values[order][place])
    return 1 - (ours - torch.stack(theirs, 1)).abs().mean((1, 2)) / 30


def table(rows: dict[str, list[dict[str, Any]]], frames: int) -> list[str]:
    """The lines of a page."""
    shares = [f"{i / (frames - 1):.0%}" for i in range(frames)]
    heads = ["blended", "aspect", *shares, "floor", "ceiling", "way"]
    out = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for name, lines in rows.items():
        for line in lines:
            cells = [shown(c) for c in (*line["frames"], line["floor"], line["ceiling"])]
            way = shown(line["way"], percent=True)
            out.append(
                f"| {name} | {line['role']}: {line['aspect']} | {' | '.join(cells)} | {way} |"
            )
    return out


def _judged(
    judge: Judge,
    row: Row,
    role: str,
    aspect: str,
    whose: str,
    wanted: Judged,
    asked: slice,
) -> dict[str, Any]:
    score, other = ASPECTS[aspect], wanted.rolled(-1)
    return _line(
        role,
        f"{aspect} of {whose}",
        own=row.each(lambda i: score(judge, row.pictures[:, i], wanted)),
        others=row.each(lambda i: score(judge, row.pictures[:, i], other)),
        ceiling=score(judge, wanted.truth.image, wanted),
        asked=asked,
    )


def _palette(row: Row) -> dict[str, Any]:
    told = row.palettes
    ends = ((row.first, 0), (row.second, -1))
    return _line(
        "changed",
        "colours of the asked palette",
        own=row.each(lambda i: palette_nearness(row.pictures[:, i], told[:, i])),
        others=row.each(lambda i: palette_nearness(row.pictures[:, i], told[:, i].roll(-1, 0))),
        ceiling=torch.stack([palette_nearness(e.truth.image, told[:, i]) for e, i in ends]).mean(0),
        asked=slice(None),
    )


def _line(
    role: str,
    aspect: str,
    *,
    own: Float[Tensor, "n frames"],
    others: Float[Tensor, "n frames"],
    ceiling: Float[Tensor, " n"],
    asked: slice,
) -> dict[str, Any]:
    task, floor = (scores[:, asked].mean(1) for scores in (own, others))
    return {
        "role": role,
        "aspect": aspect,
        "frames": [mean_interval(scores) for scores in own.unbind(1)],
        "floor": mean_interval(floor),
        "ceiling": mean_interval(ceiling),
        "way": listed(way_interval(task, floor, ceiling)),
    }
