"""The table and the pictures of what `adherence.py` found."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bootstrap import shown
from corpus import Corpus
from torch import Tensor

from composer_pl.evaluation.control.copies import Copies, find_copies
from composer_pl.evaluation.control.measure import ALL, NONE, TRUTH, Control
from composer_pl.sheet import Panel, contact_sheet


@dataclass(kw_only=True)
class Measured:
    """What `measure_adherence` found.

    Attributes:
        facts: Plain numbers: the table, closeness, variety.
        control: All scores and pictures.
        closeness: PSNR of each picture drawn from all conditions.
    """

    facts: dict[str, Any]
    control: Control
    closeness: Tensor


def markdown(facts: dict[str, Any]) -> str:
    """The table for a README."""
    lines = [
        "| condition | scorer | ceiling | alone | all given | shuffled | blind | way |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in facts["table"]:
        arms = ("ceiling", "alone", "all", "shuffled", "blind")
        cells = [line["condition"], line["scorer"], *(shown(line[arm]) for arm in arms)]
        lines.append(f"| {' | '.join(cells)} | {shown(line['way'], percent=True)} |")
    return "\n".join(lines) + "\n"


def sheet(measured: Measured, texts: list[list[str]], rows: list[int]) -> Any:
    """True picture, caption, every condition alone, all, none: one row a scene."""
    panels, pictures = [], measured.control.pictures
    for row in rows:
        line = [
            Panel(title=f"scene {row}", content=pictures[TRUTH][row] / 255),
            Panel(title="caption", content=texts[row][0]),
        ]
        for arm in (*measured.control.names, ALL, NONE):
            line.append(Panel(title=f"-> {arm}", content=pictures[arm][row] / 255))
        panels.append(line)
    return contact_sheet(panels, cell=96)


def neighbour_sheet(drawn: Tensor, training: Tensor, found: Copies) -> Any:
    """The generated pictures that are nearest to a training picture, each beside it."""
    panels = []
    rows = found.order[:20].tolist()
    for first in range(0, len(rows), 4):
        line = []
        for row in rows[first : first + 4]:
            nearest = training[found.where[row].to(training.device)].cpu()
            line.append(Panel(title="generated", content=drawn[row] / 255))
            line.append(Panel(title="nearest trained", content=nearest / 255))
        panels.append(line)
    return contact_sheet(panels, cell=96)


def write(
    measured: Measured,
    corpus: Corpus,
    names: list[str],
    out: Path,
    training: Tensor | None = None,
) -> None:
    """Write `adherence.json`, `adherence.md` and sheets.

    Args:
        measured: From `measure_adherence`.
        corpus: Its scenes.
        names: The model's conditions.
        out: The folder.
        training: 8-bit training pictures on the device to search on; None skips the search.
    """
    out.mkdir(parents=True, exist_ok=True)
    pictures = measured.control.pictures
    if training is not None:
        measured.facts["copies"] = {}
        for arm, title in ((NONE, "none"), ("caption", "caption")):
            if arm not in pictures:
                continue
            drawn, unseen = (pictures[each].to(training.device) for each in (arm, TRUTH))
            found = find_copies(drawn, unseen, training)
            measured.facts["copies"][title] = _copies(found)
            neighbour_sheet(pictures[arm], training, found).save(
                out / f"neighbours_{title}.png", optimize=True
            )
    (out / "adherence.json").write_text(json.dumps(measured.facts, indent=1) + "\n")
    (out / "adherence.md").write_text(markdown(measured.facts))
    count = len(measured.closeness)
    even = torch.linspace(0, count - 1, min(8, count)).long().tolist()
    worst = measured.closeness.argsort()[:6].tolist()
    for title, rows in (("even", even), ("worst", worst)):
        sheet(measured, corpus.texts, rows).save(out / f"grid_{title}.png", optimize=True)


def _copies(found: Copies) -> dict[str, float]:
    told = {
        "training_pictures": found.training,
        "drawn_median": found.drawn_median,
        "drawn_least": found.drawn_least,
        "unseen_median": found.unseen_median,
        "unseen_least": found.unseen_least,
        "drawn_nearer_than_1%_of_unseen": found.share_nearer,
    }
    return {name: round(value, 4) for name, value in told.items()}
