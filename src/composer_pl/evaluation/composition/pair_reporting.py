"""Sets of held-out and seen pairs as tables, a sheet of pictures and measurements."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from composer_pl.evaluation.composition.marks import nearest_seen
from composer_pl.evaluation.composition.pair_sets import CEILING, NEEDED, Judged, first_of_each
from composer_pl.evaluation.composition.reporting import PROTOCOL
from composer_pl.evaluation.intervals import Interval, interval_of, mean_of, resampled_means
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import Cell, Grid, Part, Table
from composer_pl.evaluation.stated import stated
from composer_pl.sheet import Panel, contact_sheet

PAIRS_OVER = "over pairs of colour and shape"

_SHOWN = 8

ABOUT_PAIRS = (
    "Held-out pairs of colour and shape were in no scene that the shipped models and their "
    "encoders were trained on; a model that was trained on others may have seen them. A network "
    "that has seen all pairs says which one a picture shows."
)


def summary(judged: Judged, group: str, arm: str) -> dict[str, Interval]:
    """Mean of every measure of one arm, pairs resampled with all their pictures."""
    marks, clusters = judged.marks[group][arm], judged.set.groups[group].asked
    draws = resampled_means(marks, clusters)
    return {name: interval_of(draws[name], mean_of(mark)) for name, mark in marks.items()}


def held_against_seen(judged: Judged, arm: str) -> Interval:
    """How often held-out pairs come right, as a share of how often seen ones do."""
    means: list[float] = []
    draws: list[Tensor] = []
    for number, (group, cases) in enumerate(judged.set.groups.items()):
        mark = judged.marks[group][arm][judged.set.main]
        means.append(mean_of(mark))
        draws.append(resampled_means({"": mark}, cases.asked, seed=number)[""])
    ratio = means[0] / means[1] if means[1] else float("nan")
    return interval_of(torch.where(draws[1] == 0, torch.nan, draws[0] / draws[1]), ratio)


def pair_parts(judged: Judged) -> list[Part]:
    """A table of one set with all its arms, what of held-out pairs is right, and a sheet."""
    groups = list(judged.set.groups)
    arms = list(judged.marks[groups[0]])
    measures = list(judged.marks[groups[0]][arms[0]])
    one = judged.set.main == "pair right"
    rows: list[list[Cell]] = []
    for group in groups:
        for arm in arms:
            found = summary(judged, group, arm)
            row: list[Cell] = [group, arm, *(found[name] for name in measures)]
            if one:
                logits = judged.readings[group][arm].pairs
                row.append(nearest_seen(logits, judged.set.groups[group].asked))
            rows.append(row)
    columns = ["scenes", "arm", *measures, *(["nearest seen"] if one else [])]
    given = " and ".join(NEEDED.get(judged.set.name, ()))
    parts: list[Part] = [
        Table(
            f"Pairs of colour and shape: {judged.set.name}",
            columns,
            rows,
            note=f"Given: {given}. 95% intervals {PAIRS_OVER}. The ceiling is the true picture, "
            "`shuffled` is the same pictures scored against the other pairs of the set.",
        ),
        Table(
            f"Held out over seen: {judged.set.name}",
            ["arm", f"{judged.set.main}, held out / seen"],
            [[arm, held_against_seen(judged, arm)] for arm in arms if arm != CEILING],
            note=f"95% intervals {PAIRS_OVER}. 1 is as often right as on pairs that were seen.",
        ),
    ]
    return [*parts, _sheet(judged, arms)]


def pair_measurements(judged: Judged, arm: str, settings: Mapping[str, Any]) -> list[Measurement]:
    """The numbers of one arm of a set.

    Args:
        judged: The set.
        arm: A model.
        settings: What made them, see `Measurement`.
    """
    name, main = judged.set.name, judged.set.main
    numbers = []
    for group, cases in judged.set.groups.items():
        means = summary(judged, group, arm)
        found = {f"{measure}, {group}, {name}": mean for measure, mean in means.items()}
        numbers.append((found, len(cases), len(cases.asked.unique())))
    ratio = held_against_seen(judged, arm)
    total, fewest = sum(count for _, count, _ in numbers), min(groups for *_, groups in numbers)
    numbers.append(({f"{main}, held out / seen, {name}": ratio}, total, fewest))
    return [
        measurement
        for found, count, groups in numbers
        for measurement in stated(
            found,
            protocol=PROTOCOL,
            over=PAIRS_OVER,
            count=count,
            groups=groups,
            settings=settings,
        )
    ]


def _sheet(judged: Judged, arms: list[str]) -> Grid:
    """The first picture of the first held-out pairs, with where its parts come from."""
    group = next(iter(judged.set.groups))
    cases = judged.set.groups[group]
    rows = []
    for row in first_of_each(cases.asked)[:_SHOWN].tolist():
        line = [Panel(title="asked", content=cases.texts[row])]
        for name, source in judged.set.sources[group].items():
            if source.cases is not cases:
                pixels = source.cases.pixels[source.rows[row]].cpu()
                line.append(Panel(title=f"{name} from", content=pixels / 255))
        for arm in (CEILING, *(arm for arm in arms if arm != CEILING)):
            picture = (judged.pictures[group][arm][row] + 1) / 2
            line.append(Panel(title="true" if arm == CEILING else arm, content=picture))
        rows.append(line)
    return Grid(
        f"Held-out pairs: {judged.set.name}",
        contact_sheet(rows, cell=96),
        note="The first picture of each of the first pairs, not chosen.",
    )
