"""The control report: tables of obedience, pairs and quality, and the pictures themselves."""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from composer_pl.evaluation.control.baselines import Baseline
from composer_pl.evaluation.control.copies import Copies
from composer_pl.evaluation.control.measure import ALL, ALONE, NONE, TRUTH, Control
from composer_pl.evaluation.control.quality import Quality
from composer_pl.evaluation.control.results import Line, beside, counted_lines, pair_way, verdicts
from composer_pl.evaluation.report import Cell, Grid, Part, Table
from composer_pl.sheet import Panel, contact_sheet

_SHOWN = 8
"""Pictures on the sheet, evenly spaced: nothing is chosen by eye."""
_CELL = 96
_NEIGHBOURS = 20

_ABOUT = (
    "Each picture is drawn from conditions of a true picture and scored by how well it obeys them: "
    "1 is best. The floor is the score of the same pictures "
    "against another picture's condition, the ceiling that of the true picture at the model's "
    "side. The way says how far the pictures come from the one to the other. Blind pictures know "
    "nothing: their way above their own floor is 0 but for chance. The judge in the first table "
    "is another than the model was conditioned with; where there is none, the extractor's own word "
    "stands there and says so."
)


def control_parts(
    control: Control,
    lines: Sequence[Line],
    quality: Mapping[str, Quality],
    *,
    texts: Sequence[str],
    notes: Sequence[str] = (),
    baselines: Sequence[Baseline] = (),
    copies: Mapping[str, Copies] | None = None,
    training: Tensor | None = None,
) -> list[Part]:
    """What the report shows.

    Args:
        control: What was measured.
        lines: From `lines_of`.
        quality: Arm -> how its pictures look.
        texts: Caption of each picture.
        notes: Sentences about the pictures and judges.
        baselines: Other models that were measured too.
        copies: Arm -> nearest training pictures.
        training: The training pictures that were searched, 8 bits.
    """
    parts: list[Part] = [_ABOUT, *verdicts(lines), *notes, _obedience(lines), _every(lines)]
    if baselines:
        parts.append(_baselines(control, lines, baselines))
    parts += _pairs(control, lines)
    parts.append(_quality(quality))
    if copies:
        parts.append(_copies(copies))
    parts.append(_sheet(control, texts))
    for arm, found in (copies or {}).items():
        if training is not None:
            parts.append(_neighbours(arm, control.pictures[arm], training, found))
    return parts


def _obedience(lines: Sequence[Line]) -> Table:
    rows: list[list[Cell]] = [
        [
            line.scorer.condition,
            line.scorer.name if line.scorer.independent else f"none: {line.scorer.name}",
            line.floor,
            line.alone,
            line.ceiling,
            line.way,
            line.whole_way,
            line.blind_way,
        ]
        for line in counted_lines(lines)
    ]
    columns = ["condition", "independent judge", "floor", "alone", "ceiling"]
    columns += ["way", "way, all given", "blind way"]
    return Table(
        "Obedience",
        columns,
        rows,
        note="95% intervals over pictures; a way of 0% is the floor, 100% the ceiling.",
        formats={"way": ".0%", "way, all given": ".0%", "blind way": ".0%"},
    )


def _every(lines: Sequence[Line]) -> Table:
    rows: list[list[Cell]] = [
        [
            line.scorer.condition,
            line.scorer.name,
            "yes" if line.scorer.independent else "no",
            line.floor,
            line.alone,
            line.whole,
            line.ceiling,
            line.blind,
            line.way,
            line.whole_way,
            line.blind_way,
        ]
        for line in lines
    ]
    columns = ["condition", "scorer", "independent", "floor", "alone", "all given", "ceiling"]
    columns += ["blind", "way", "way, all given", "blind way"]
    return Table(
        "Every score",
        columns,
        rows,
        note="Undefined where a score cannot be: a caption that claims nothing, a photo without "
        "instances, a floor as high as the ceiling.",
        formats={"way": ".0%", "way, all given": ".0%", "blind way": ".0%"},
    )


def _baselines(control: Control, lines: Sequence[Line], baselines: Sequence[Baseline]) -> Table:
    counted = [line.scorer for line in counted_lines(lines)]
    rows: list[list[Cell]] = [
        [
            found.scorer.condition,
            found.scorer.name,
            found.baseline.label,
            ALONE if found.given == ALONE else f"all {len(found.baseline.names)}",
            found.way,
            "-" if found.own is None else found.own,
            "-" if found.ahead is None else found.ahead,
        ]
        for found in beside(control, baselines)
        if found.scorer in counted
    ]
    columns = ["condition", "judge", "baseline", "given", "its way", "way of the model"]
    columns.append("model ahead by")
    return Table(
        "Baselines",
        columns,
        rows,
        note="From the same values and noise: each condition alone, and all that the baseline and "
        "the model share. Its way begins at the floor of its own pictures. No way of the model "
        "stands where it would be given other conditions.",
        formats=dict.fromkeys(columns[4:], ".0%"),
    )


def _pairs(control: Control, lines: Sequence[Line]) -> list[Part]:
    counted = counted_lines(lines)
    ways = {
        (line.scorer.condition, other): pair_way(control, line.scorer, other)
        for line in counted
        for other in control.names
    }
    if all(way is None for way in ways.values()):
        return []
    rows: list[list[Cell]] = [
        [
            line.scorer.condition,
            *(
                line.way if other == line.scorer.condition else ways[line.scorer.condition, other]
                for other in control.names
            ),
        ]
        for line in counted
    ]
    columns = ["way of", *(f"with {other}" for other in control.names)]
    note = (
        "How far pictures drawn from two conditions of the same true picture obey the condition "
        "of the row, by the judge of the first table; on the diagonal it was given alone."
    )
    return [Table("Pairs", columns, rows, note=note, formats=dict.fromkeys(columns[1:], ".0%"))]


def _quality(quality: Mapping[str, Quality]) -> Table:
    rows: list[list[Cell]] = [
        [arm, one.variety, one.spread, one.kernel, one.precision, one.recall]
        for arm, one in quality.items()
    ]
    columns = ["given", "variety", "spread", "kernel distance", "precision", "recall"]
    return Table(
        "Quality and diversity",
        columns,
        rows,
        note="Variety: mean distance of two pictures as a share of that of two true ones. Spread: "
        "the same of two pictures drawn from one value; near 0, chance has no say. Kernel distance "
        "(KID, with one standard deviation over subsets), precision and recall: features of the "
        "pictures beside those of the true ones, by the network that the facts name; comparable "
        "only within that network, and for as many pictures.",
        formats={"variety": ".0%", "spread": ".0%", "precision": ".0%", "recall": ".0%"},
    )


def _copies(copies: Mapping[str, Copies]) -> Table:
    rows: list[list[Cell]] = [
        [
            arm,
            found.drawn_median,
            found.drawn_least,
            found.unseen_median,
            found.unseen_least,
            found.share_nearer,
        ]
        for arm, found in copies.items()
    ]
    one = next(iter(copies.values()))
    return Table(
        "Copies of training pictures",
        ["given", "median", "least", "median, unseen", "least, unseen", "nearer"],
        rows,
        note=f"Distance to the nearest of {one.training} training pictures (root mean square at 32 "
        "px), of drawn pictures and of the true ones that they were drawn from (unseen, if they "
        "were not trained on). Nearer: share of the drawn ones closer than the closest hundredth "
        f"of those; by chance {one.share_by_chance:.1%} of as few.",
        formats={"nearer": ".1%"},
    )


def _sheet(control: Control, texts: Sequence[str]) -> Grid:
    count = len(control)
    rows = torch.linspace(0, count - 1, min(_SHOWN, count)).long().tolist()
    arms = [*control.names, *([ALL] if ALL in control.pictures else []), NONE]
    panels = [
        [
            Panel(title=f"picture {row}", content=control.pictures[TRUTH][row] / 255),
            Panel(title="caption", content=str(texts[row] or "none")),
            *(Panel(title=f"-> {arm}", content=control.pictures[arm][row] / 255) for arm in arms),
        ]
        for row in rows
    ]
    return Grid(
        "Pictures", contact_sheet(panels, cell=_CELL), note="Evenly spaced, not chosen by eye."
    )


def _neighbours(arm: str, drawn: Tensor, training: Tensor, found: Copies) -> Grid:
    panels: list[list[Panel]] = []
    rows = found.order[:_NEIGHBOURS].tolist()
    for first in range(0, len(rows), 4):
        line = []
        for row in rows[first : first + 4]:
            line.append(Panel(title="drawn", content=drawn[row] / 255))
            line.append(Panel(title="nearest", content=training[found.where[row]].cpu() / 255))
        panels.append(line)
    picture: Image.Image = contact_sheet(panels, cell=_CELL)
    return Grid(f"Nearest training pictures, {arm}", picture, note="The nearest first.")
