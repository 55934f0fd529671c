"""Which condition wins, as tables, a sheet of pictures and measurements."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from composer_pl.evaluation.composition.crossing import CrossedPictures, CrossedScores
from composer_pl.evaluation.composition.winning import Given, Met, met, obeyed
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import Cell, Grid, Part, Table
from composer_pl.evaluation.stated import stated
from composer_pl.sheet import Panel, contact_sheet

PROTOCOL = "composition"
TWOS = "over twos of pictures"

_GIVENS: tuple[Given, ...] = ("conflicting", "compatible")
_SHOWN = 6

ABOUT = (
    "Two conditions meet: both of one picture (compatible), or each of another picture "
    "(conflicting). Each is scored against its own source. What it keeps is (both - floor) / "
    "(alone - floor): 1 is obeyed as if it were alone, 0 is as if another picture's had been "
    "given. The winner keeps more, its whole interval above 0; neither wins where the whole "
    "interval of the difference lies within a tenth. The floor holds the pictures drawn from a "
    "condition alone against that of another picture; blind pictures are drawn from nothing; the "
    "ceiling is the true picture."
)


def crossing_parts(
    scores: Mapping[str, CrossedScores], *, judges: Mapping[str, str], model: str = ""
) -> list[Part]:
    """Tables of one model.

    Args:
        scores: Scorer -> scores.
        judges: Condition -> what its independent judge measures.
        model: Its name where a report shows several; empty where it shows one.
    """
    of = f", {model}" if model else ""
    listed = "; ".join(f"of {name}: {judge}" for name, judge in judges.items())
    parts: list[Part] = [f"Independent judges: {listed}."] if listed else []
    for scorer, found in scores.items():
        if not found.single:
            continue
        parts.append(_alone(found, f"Each condition alone: {scorer}{of}"))
        meetings = {given: _meetings(found, given) for given in _GIVENS}
        if not meetings["conflicting"]:
            continue
        parts.append(_tally(meetings["conflicting"], f"Wins in conflicts: {scorer}{of}"))
        parts.append(_matrix(meetings["conflicting"], f"Kept in conflicts: {scorer}{of}"))
        for given, titled in meetings.items():
            parts.append(_wins(titled, f"Who wins, {given}: {scorer}{of}"))
    return parts


def crossing_sheet(pictures: CrossedPictures, *, twos: int = 1) -> Grid:
    """A sheet: for each pair the sources, each condition alone, and both together.

    Args:
        pictures: What was drawn.
        twos: Of how many twos of pictures.
    """
    rows = []
    for pair in pictures.pairs[:_SHOWN]:
        first, second = pair
        for row in range(0, min(2 * twos, len(pictures.true)), 2):
            named = {
                f"{first} from": pictures.true[row],
                f"{first} alone": pictures.alone[first][row],
                f"{second} from": pictures.true[row + 1],
                f"{second} alone": pictures.alone[second][row + 1],
                "both, conflicting": pictures.conflicting[pair][row],
                f"both of {first}'s": pictures.compatible[pair][row],
            }
            rows.append([Panel(title=t, content=(p + 1) / 2) for t, p in named.items()])
    return Grid(
        "Parts of two pictures",
        contact_sheet(rows, cell=96),
        note=f"The first {2 * twos} pictures of the first {min(len(pictures.pairs), _SHOWN)} "
        "pairs, not chosen.",
    )


def crossing_measurements(
    scores: Mapping[str, CrossedScores], settings: Mapping[str, Any]
) -> list[Measurement]:
    """Every number of `crossing_parts`; undefined ones are left out.

    Args:
        scores: Scorer -> scores.
        settings: What made them, see `Measurement`.
    """
    found: dict[str, Interval] = {}
    clusters = next(iter(scores.values())).clusters
    for scorer, own in scores.items():
        for name in own.single:
            facts = obeyed(own, name)
            for arm in ("ceiling", "alone", "floor", "blind", "way"):
                found[f"{arm} of {name}, {scorer}"] = getattr(facts, arm)
        for given in _GIVENS:
            for one in _meetings(own, given):
                x, y = one.pair
                found[f"{x} keeps beside {given} {y}, {scorer}"] = one.first
                found[f"{y} keeps beside {given} {x}, {scorer}"] = one.second
                found[f"{x} - {y} kept, {given}, {scorer}"] = one.difference
    return stated(
        found,
        protocol=PROTOCOL,
        over=TWOS,
        count=len(clusters),
        groups=len(clusters.unique()),
        settings=settings,
    )


def verdict(scores: Mapping[str, CrossedScores]) -> str:
    """Who wins most, in a few words, by the first scorer."""
    meetings = _meetings(next(iter(scores.values())), "conflicting")
    wins = Counter(one.winner for one in meetings if one.winner in one.pair)
    if not wins:
        return f"{len(meetings)} conflicts, none with a winner"
    name, count = wins.most_common(1)[0]
    return f"{len(meetings)} conflicts; {name} wins {count}"


def _meetings(scores: CrossedScores, given: Given) -> list[Met]:
    found = [met(scores, pair, given) for pair in scores.both]
    return [one for one in found if one is not None]


def _alone(scores: CrossedScores, title: str) -> Table:
    rows: list[list[Cell]] = []
    for name in scores.single:
        found = obeyed(scores, name)
        rows.append([name, found.ceiling, found.alone, found.floor, found.blind, found.way])
    return Table(
        title,
        ["condition", "ceiling", "alone", "floor", "blind", "way"],
        rows,
        note=f"95% intervals {TWOS}. The way is (alone - floor) / (ceiling - floor).",
        formats={"way": ".0%"},
    )


def _wins(meetings: Sequence[Met], title: str) -> Table:
    numbers = ("first keeps", "second keeps", "difference")
    rows: list[list[Cell]] = [
        [*one.pair, *map(_or_words, (one.first, one.second, one.difference)), one.winner]
        for one in meetings
    ]
    return Table(
        title,
        ["first", "second", *numbers, "winner"],
        rows,
        note=f"95% intervals {TWOS}.",
        formats=dict.fromkeys(numbers, ".0%"),
    )


def _tally(meetings: Sequence[Met], title: str) -> Table:
    names = list(dict.fromkeys(name for one in meetings for name in one.pair))
    kinds = ("wins", "loses", "neither", "undecided", "not told")
    counts = {name: Counter[str]() for name in names}
    for one in meetings:
        for name in one.pair:
            winner = one.winner
            if winner in one.pair:
                kind = "wins" if winner == name else "loses"
            else:
                kind = winner if winner in kinds else "not told"
            counts[name][kind] += 1
    order = sorted(names, key=lambda name: counts[name]["loses"] - counts[name]["wins"])
    rows: list[list[Cell]] = [
        [name, *(counts[name][kind] for kind in kinds), _mean_kept(meetings, name)]
        for name in order
    ]
    return Table(
        title,
        ["condition", *kinds, "keeps on average"],
        rows,
        note="Of its meetings with each other condition of another picture.",
        formats={"keeps on average": ".0%"},
    )


def _matrix(meetings: Sequence[Met], title: str) -> Table:
    names = list(dict.fromkeys(name for one in meetings for name in one.pair))
    kept = {one.pair: one.first.value for one in meetings}
    kept |= {one.pair[::-1]: one.second.value for one in meetings}
    rows: list[list[Cell]] = [
        [name, *("-" if other == name else kept.get((name, other)) for other in names)]
        for name in names
    ]
    return Table(
        title,
        ["condition", *(f"against {name}" for name in names)],
        rows,
        note="What the condition of a row keeps of its own way where that of the column comes from "
        "another picture. Intervals: table 'Who wins'.",
        formats={f"against {name}": ".0%" for name in names},
    )


def _mean_kept(meetings: Sequence[Met], name: str) -> float:
    kept = [
        interval.value
        for one in meetings
        for place, interval in zip(one.pair, (one.first, one.second), strict=True)
        if place == name and isfinite(interval.value)
    ]
    return sum(kept) / len(kept) if kept else float("nan")


def _or_words(kept: Interval) -> Cell:
    """A dash where there is nothing to keep."""
    return kept if isfinite(kept.value) else "-"
