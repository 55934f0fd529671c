r"""Obedience over guidance, out of several runs of `composer-pl eval control`.

    for g in 1 1.5 2 3 5 8; do \
        composer-pl eval control --ckpt scenes-64 --guidance $g --out at-$g; done
    python benchmarks/control/over_guidance.py at-* --out OUT

The runs must differ in their guidance alone. Shown is how far pictures come from floor to ceiling,
by the first judge of each condition that is not its extractor: of a condition given alone, and of
all given together; and what it costs in variety and closeness to true pictures.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from composer_pl.errors import UserInputError
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement, differences, read_measurements
from composer_pl.evaluation.report import Plot, Point, Table, write_report

ALONE, WHOLE = ": way", ": way, all given"
COSTS = ("variety", "spread", "kernel distance", "precision", "recall")
GUIDANCE = "recipe.guidance"

Run = Mapping[str, Measurement]


def read_runs(folders: Sequence[Path]) -> dict[float, Run]:
    """Guidance -> measure -> number, in rising order.

    Raises:
        UserInputError: Two runs differ in more than their guidance, or not even in that.
    """
    runs: dict[float, Run] = {}
    first: Measurement | None = None
    for folder in folders:
        found = read_measurements(folder / "results.jsonl")
        own = {one.measure: one for one in found}
        first = first or found[0]
        said = differences(first, own[first.measure], allowed=[GUIDANCE])
        guidance = float(found[0].settings["recipe"]["guidance"])
        if said or guidance in runs:
            raise UserInputError(
                f"Reading {folder} beside the others: expected a run that differs in its guidance "
                f"alone, found {'; '.join(said[:3]) or f'guidance {guidance:g} twice'}. "
                f"Next: evaluate all alike."
            )
        runs[guidance] = own
    return dict(sorted(runs.items()))


def judged(run: Run) -> list[str]:
    """`condition by scorer` of the first independent scorer of each condition."""
    found: dict[str, str] = {}
    for measure, one in run.items():
        if measure.endswith(ALONE) and one.settings.get("independent"):
            found.setdefault(one.settings["condition"], measure.removesuffix(ALONE))
    return list(found.values())


def rows(runs: Mapping[float, Run], ending: str, names: Sequence[str]) -> Table | None:
    """A row a condition, a column a guidance."""
    here = [name for name in names if any(name + ending in run for run in runs.values())]
    cells = [
        [
            name,
            *(
                _interval(run[name + ending]) if name + ending in run else None
                for run in runs.values()
            ),
        ]
        for name in here
    ]
    columns = ["condition and judge", *(f"guidance {guidance:g}" for guidance in runs)]
    title = "Way, given alone" if ending == ALONE else "Way, all given"
    return Table(title, columns, cells) if cells else None


def costs(runs: Mapping[float, Run], names: Sequence[str]) -> Table:
    """Variety and likeness of pictures, means over the conditions given alone."""
    conditions = [name.partition(" by ")[0] for name in names]
    cells = []
    for what in COSTS:
        row: list[str | float | Interval | None] = [what]
        for run in runs.values():
            values = [run[f"{c}: {what}"].value for c in conditions if f"{c}: {what}" in run]
            row.append(sum(values) / len(values) if values else None)
        cells.append(row)
    note = "Means over the conditions, each given alone."
    return Table("What it costs", ["", *(f"guidance {g:g}" for g in runs)], cells, note)


def plot(runs: Mapping[float, Run], names: Sequence[str]) -> Plot:
    """A line a condition."""
    series: dict[str, list[Point]] = {
        name.partition(" by ")[0]: [
            (guidance, run[name + ALONE].value) for guidance, run in runs.items()
        ]
        for name in names
    }
    return Plot("Way over guidance, given alone", "guidance", "way", series)


def _interval(one: Measurement) -> Interval:
    low = one.value if one.low is None else one.low
    high = one.value if one.high is None else one.high
    return Interval(one.value, low, high)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    runs = read_runs(args.runs)
    names = judged(next(iter(runs.values())))
    tables = [rows(runs, ending, names) for ending in (ALONE, WHOLE)]
    parts = [plot(runs, names), *(table for table in tables if table), costs(runs, names)]
    count = next(iter(next(iter(runs.values())).values())).count
    facts = {"runs": [folder.name for folder in args.runs], "pictures": count}
    write_report(args.out, "Obedience over guidance", parts, facts=facts)
    print(f"{args.out / 'report.html'}: {len(runs)} runs, {len(names)} conditions")


if __name__ == "__main__":
    main()
