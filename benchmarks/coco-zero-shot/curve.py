"""Numbers of several checkpoints of one training over its steps, as a report.

    python benchmarks/coco-zero-shot/curve.py OUT_1000 OUT_2000 ... --out DIR

Each argument is a folder of `composer-pl eval coco-fid`; all must be of the same protocol, guidance
and captions, and differ in the model alone. Steps are read from what the checkpoints tell.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from composer_pl.errors import UserInputError
from composer_pl.evaluation.measurement import Measurement, differences, read_measurements
from composer_pl.evaluation.report import Plot, Point, write_report

STEPS = ("optimiser steps", "steps")
"""What checkpoints and model folders call their steps."""


def steps_of(one: Measurement) -> int:
    """Steps of the training that made the model of a number.

    Raises:
        UserInputError: The model does not tell.
    """
    training = one.settings.get("context", {}).get("training", {})
    for name in STEPS:
        digits = str(training.get(name, "")).replace(",", "")
        if digits.isdecimal():
            return int(digits)
    raise UserInputError(
        f"Reading the training steps of {one.measure}: expected a model that tells them, found "
        f"{training or 'nothing'}. Next: evaluate checkpoints of `composer-pl fit`."
    )


def curves(files: Iterable[Sequence[Measurement]]) -> list[Plot]:
    """A plot for each measure, a line for each way of drawing.

    Raises:
        UserInputError: Numbers of one line were made in different ways.
    """
    lines: dict[tuple[str, str], list[Measurement]] = {}
    for file in files:
        for one in file:
            settings = one.settings
            name = f"{settings['conditions']}, guidance {settings['recipe']['guidance']:g}"
            line = lines.setdefault((one.measure, name), [])
            if line and (said := differences(line[0], one)):
                raise UserInputError(
                    f"Drawing {one.measure} over steps: expected numbers made in the same way, "
                    f"found {'; '.join(said[:3])}. Next: evaluate all checkpoints alike."
                )
            line.append(one)
    plots: dict[str, dict[str, list[Point]]] = {}
    for (measure, name), line in lines.items():
        points: dict[int, Point] = {}
        for one in line:  # of two of the same step the later one counts
            step = steps_of(one)
            points[step] = (step, one.value)
            if one.low is not None and one.high is not None:
                points[step] = (step, one.value, one.low, one.high)
        plots.setdefault(measure, {})[name] = [points[step] for step in sorted(points)]
    return [
        Plot(f"{measure} over training", "optimiser steps", measure, series)
        for measure, series in plots.items()
    ]


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    files = [read_measurements(folder / "results.jsonl") for folder in args.evaluations]
    plots = curves(files)
    facts = {"evaluations": [folder.name for folder in args.evaluations]}
    write_report(args.out, "Scores over training", plots, facts=facts)
    print(f"{args.out / 'report.html'}: {len(plots)} curves of {len(files)} checkpoints")


if __name__ == "__main__":
    main()
