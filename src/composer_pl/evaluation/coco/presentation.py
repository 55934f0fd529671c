"""The report of a run: tables by manner, curves over guidance, the first pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from composer_pl.evaluation.coco.networks import (
    CONDITIONING,
    HEADLINE,
    OWN,
    TINY,
    kind_of,
    title_of,
)
from composer_pl.evaluation.coco.protocol import CAPTIONS
from composer_pl.evaluation.coco.run import CocoRun
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import Cell, Grid, Marked, Part, Plot, Point, Table
from composer_pl.sheet import Panel, contact_sheet

TITLE = "Zero-shot FID and CLIP score on COCO"
MANNERS = ("caption only", "with prior")
FEW = 10_000
"""Pictures below which FID says little, since its bias depends on their number; KID has none."""
_SHOWN, _ACROSS, _CELL = 24, 6, 128
_OWN = (
    "The conditioning network's own score: models conditioned on this CLIP are favoured by what "
    "they were trained on."
)
_TINY = "By the shipped judge of scenes: compares only with other numbers of this network."
_SUBSETS = "one standard deviation over subsets of the pictures"
_UNKNOWN = "Not the published weights: compares only with other numbers of these."

_Found = Mapping[tuple[str, float, str], Measurement]


def parts_of(run: CocoRun, measurements: Sequence[Measurement]) -> list[Part]:
    """What `evaluation.report.write_report` shows of a run.

    Args:
        run: Scored.
        measurements: Its numbers.
    """
    found = {_place(one): one for one in measurements}
    names = [*HEADLINE, *(s.name for s in run.scorers if s.name not in HEADLINE)]
    parts: list[Part] = [_summary(run)]
    features = [title_of(name) for name in names if kind_of(name) == "features"]
    clips = [title_of(name) for name in names if kind_of(name) == "clip"]
    parts.append(
        _table(
            run,
            found,
            "FID and CLIP score",
            [f"FID, {title}" for title in features] + [f"CLIP score, {title}" for title in clips],
            "FID: lower is better. CLIP score: plain cosine, higher is better.",
        )
    )
    parts.append(_beside(run, found, features))
    guidances = run.settings.guidances
    if len(guidances) > 1:
        measures = list(dict.fromkeys(one.measure for one in measurements))
        parts += [_curve(found, measure, sorted(guidances)) for measure in measures]
    return parts + _grids(run)


def facts_of(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """What made the numbers of a run, for the report: what all share, and each network's facts.

    A setting that only some numbers have, such as the reference or the prior, is that of those that
    have it.
    """
    networks = {
        one.measure.partition(", ")[2]: one.settings["features"] for one in measurements
    }  # fmt: skip
    own = ("features", "note")
    every = [{n: v for n, v in one.settings.items() if n not in own} for one in measurements]
    return {**_common(every), "features": networks}


_DIFFERENT = object()


def _common(values: Sequence[Any]) -> Any:
    """The value of all that have one; of mappings, the entries of which that is true."""
    told = [value for value in values if value is not None] or [None]
    if all(value == told[0] for value in told):
        return told[0]
    if not all(isinstance(value, Mapping) for value in told):
        return _DIFFERENT
    names = dict.fromkeys(name for value in told for name in value)
    common = {name: _common([value[name] for value in told if name in value]) for name in names}
    return {name: value for name, value in common.items() if value is not _DIFFERENT}


def headline(measurements: Sequence[Measurement]) -> str:
    """The best number of the first network in one line: FID or, of few pictures, KID.

    Numbers of different networks are of different scales: the least of all would mean nothing.
    """
    kind = "KID" if measurements[0].count < FEW else "FID"
    found = [m for m in measurements if m.measure.startswith(f"{kind}, ")] or list(measurements)
    headed = [f"{kind}, {title_of(name)}" for name in HEADLINE]
    first = next((name for name in headed if any(m.measure == name for m in found)),
                 found[0].measure)  # fmt: skip
    best = min((m for m in found if m.measure == first),
               key=lambda m: m.value if first.startswith(kind) else -m.value)  # fmt: skip
    conditions, guidance, _ = _place(best)
    ends = "" if best.low is None else f" [{best.low:.4g}, {best.high:.4g}]"
    mark = "" if best.of_protocol else ", not the protocol"
    return f"{best.measure} {best.value:.4g}{ends}, {conditions}, guidance {guidance:g}{mark}"


def _place(one: Measurement) -> tuple[str, float, str]:
    settings = one.settings
    return settings["conditions"], float(settings["recipe"]["guidance"]), one.measure


def _summary(run: CocoRun) -> str:
    seeds = run.settings.repeats
    text = (
        f"{len(run.captions)} captions of {run.captions.split}, one a picture, digest "
        f"{run.captions.digest[:12]}, against {len(run.split.pictures)} pictures at "
        f"{run.artist.side} px; {seeds} generation{'' if seeds == 1 else 's'}."
    )
    if not run.departures:
        return text
    return f"{text}\n\nNot the protocol: {'; '.join(run.departures)}."


def _table(run: CocoRun, found: _Found, title: str, measures: Sequence[str], note: str) -> Table:
    """A row for each manner and guidance, measured or not."""
    rows = [
        [
            manner,
            f"{guidance:g}",
            *(_cell(run, found.get((manner, guidance, m)), m) for m in measures),
        ]
        for manner in MANNERS
        for guidance in run.settings.guidances
    ]
    seeds = (
        "Intervals of FID over generation seeds"
        if run.settings.repeats > 1
        else "One generation seed, so FID has no interval"
    )
    return Table(title, ["given", "guidance", *measures], rows, f"{note} {seeds}.")


def _beside(run: CocoRun, found: _Found, titles: Sequence[str]) -> Table:
    """Kernel distance, precision and recall: a row for each network of each manner."""
    kinds = ("KID", "precision", "recall")
    drawn = [manner for manner in MANNERS if any(place[0] == manner for place in found)]
    rows = [
        [
            manner,
            f"{guidance:g}",
            title,
            *(
                _cell(run, found.get((manner, guidance, f"{kind}, {title}")), f"{kind}, {title}")
                for kind in kinds
            ),
        ]
        for manner in drawn
        for guidance in run.settings.guidances
        for title in titles
    ]
    note = f"KID is what to read below {FEW:,} pictures: it does not depend on their number. " + (
        "Intervals over generation seeds."
        if run.settings.repeats > 1
        else f"Its interval is {_SUBSETS}; one generation seed, so precision and recall have none."
    )
    return Table(
        "Kernel distance, precision, recall",
        ["given", "guidance", "network", *kinds],
        rows,
        note,
        {"KID": "#.3g"},  # of two networks one can be a hundredth of the other
    )


def _cell(run: CocoRun, one: Measurement | None, measure: str) -> Cell:
    if one is None:
        return None
    cell: Cell = one.value
    if one.low is not None and one.high is not None:
        cell = Interval(one.value, one.low, one.high)
    network = measure.partition(", ")[2]
    said = []
    if network == title_of(TINY):
        said.append(_TINY)
    elif network in (title_of(CONDITIONING), title_of(OWN)):
        said.append(_OWN)
    elif not one.of_protocol and not run.departures:
        said.append(_UNKNOWN)
    if run.departures:
        said.append(f"Not the protocol of {CAPTIONS:,} captions: {'; '.join(run.departures)}.")
    return Marked(cell, " ".join(said)) if said else cell


def _curve(found: _Found, measure: str, guidances: Sequence[float]) -> Plot:
    series: dict[str, list[Point]] = {}
    bands: dict[str, None] = {}
    for (manner, guidance, name), one in sorted(found.items(), key=lambda item: item[0][1]):
        if name == measure:
            point: Point = (guidance, one.value)
            if one.low is not None and one.high is not None:
                point = (guidance, one.value, one.low, one.high)
                bands[f"Bands: {one.interval}."] = None
            series.setdefault(manner, []).append(point)
    return Plot(f"{measure} over guidance", "guidance", measure, series, " ".join(bands))


def _grids(run: CocoRun) -> list[Grid]:
    """The first pictures of each manner's first seed, with their captions."""
    grids = []
    for generation in run.generations:
        manner = generation.manner
        shown = generation.first_pictures(_SHOWN) if manner.seed == run.settings.seed else []
        panels = [Panel(title=caption.text, content=picture) for caption, picture in shown]
        rows = [panels[i : i + _ACROSS] for i in range(0, len(panels), _ACROSS)]
        if rows:
            title = f"Drawn {manner.conditions}, guidance {manner.recipe.guidance:g}"
            note = f"The first {len(panels)} captions of the list, chosen by nobody."
            grids.append(Grid(title, contact_sheet(rows, cell=_CELL), note))
    return grids
