"""Numbers of several evaluations over the steps of a training, or over guidance, as a report.

    python benchmarks/coco-zero-shot/curve.py OUT_1000 OUT_2000 ... --out DIR
    python benchmarks/coco-zero-shot/curve.py OUT_1.5 OUT_3 ... --over guidance --out DIR

Each argument is a folder of `composer-pl eval coco-fid`; all must be of the same protocol and
captions, and differ along the axis alone: in the model, whose steps are read from what its
checkpoint tells, or in the guidance of one model. `DIR/curves.svg` shows all of them on one sheet.
"""

import argparse
import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from composer_pl.errors import UserInputError
from composer_pl.evaluation.measurement import Measurement, differences, read_measurements
from composer_pl.evaluation.report import Plot, Point, write_report
from composer_pl.evaluation.report.plot import draw_plot
from composer_pl.evaluation.report.style import STYLE

STEPS = ("optimiser steps", "steps")
"""What checkpoints and model folders call their steps."""
GUIDANCE = "recipe.guidance"
_WIDTH, _HEIGHT, _COLUMNS = 380, 260, 2  # of a plot on the sheet, and plots beside each other


@dataclass(frozen=True)
class Axis:
    """What numbers are drawn over.

    Attributes:
        name: In titles.
        label: Beneath the axis.
        place: Where a number stands on it.
        free: Settings that may differ along a line, beside the model.
    """

    name: str
    label: str
    place: Callable[[Measurement], float]
    free: tuple[str, ...] = ()

    def line(self, one: Measurement) -> str:
        """Name of the line that a number belongs to."""
        drawn = str(one.settings["conditions"])
        if GUIDANCE in self.free:
            return drawn
        return f"{drawn}, guidance {guidance_of(one):g}"


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


def guidance_of(one: Measurement) -> float:
    """Guidance that a number was drawn with."""
    return float(one.settings["recipe"]["guidance"])


AXES = {
    "training": Axis("training", "optimiser steps", steps_of),
    "guidance": Axis("guidance", "guidance", guidance_of, free=(GUIDANCE,)),
}


def curves(files: Iterable[Sequence[Measurement]], axis: Axis = AXES["training"]) -> list[Plot]:
    """A plot for each measure, a line for each way of drawing.

    Raises:
        UserInputError: Numbers of one line were made in different ways, or over guidance by
            different models.
    """
    lines: dict[tuple[str, str], list[Measurement]] = {}
    for file in files:
        for one in file:
            line = lines.setdefault((one.measure, axis.line(one)), [])
            if line and (said := _apart(line[0], one, axis)):
                raise UserInputError(
                    f"Drawing {one.measure} over {axis.label}: expected numbers made in the same "
                    f"way, found {'; '.join(said[:3])}. Next: evaluate all alike."
                )
            line.append(one)
    plots: dict[str, dict[str, list[Point]]] = {}
    for (measure, name), line in lines.items():
        points: dict[float, Point] = {}
        for one in line:  # of two at the same place the later one counts
            x = axis.place(one)
            points[x] = (x, one.value)
            if one.low is not None and one.high is not None:
                points[x] = (x, one.value, one.low, one.high)
        plots.setdefault(measure, {})[name] = [points[x] for x in sorted(points)]
    return [
        Plot(f"{measure} over {axis.name}", axis.label, measure, series)
        for measure, series in plots.items()
    ]


def _apart(first: Measurement, one: Measurement, axis: Axis) -> list[str]:
    said = differences(first, one, allowed=axis.free)
    if GUIDANCE in axis.free and first.settings["model"] != one.settings["model"]:
        said.append("another model")
    return said


def sheet(plots: Sequence[Plot]) -> str:
    """All plots as one SVG file, for a page that cannot hold a report."""
    rows = -(-len(plots) // _COLUMNS)
    width, height = _WIDTH * _COLUMNS, _HEIGHT * rows
    parts = []
    for number, plot in enumerate(plots):
        row, column = divmod(number, _COLUMNS)
        drawn = re.sub(r"^<svg[^>]*>|</svg>$", "", draw_plot(plot, width=_WIDTH, height=_HEIGHT))
        place = f'transform="translate({column * _WIDTH} {row * _HEIGHT})"'
        parts.append(f"<g {place}><title>{html.escape(plot.title)}</title>{drawn}</g>\n")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n'
        f"<style>{STYLE}:root{{width:{width}px}}</style>\n"
        f'<rect width="100%" height="100%" style="fill:var(--paper)"/>\n{"".join(parts)}</svg>\n'
    )


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluations", nargs="+", type=Path)
    parser.add_argument("--over", choices=AXES, default="training")
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    files = [read_measurements(folder / "results.jsonl") for folder in args.evaluations]
    plots = curves(files, AXES[args.over])
    facts = {"evaluations": [folder.name for folder in args.evaluations]}
    write_report(args.out, f"Scores over {args.over}", plots, facts=facts)
    (args.out / "curves.svg").write_text(sheet(plots))
    print(f"{args.out / 'report.html'}: {len(plots)} curves of {len(files)} evaluations")


if __name__ == "__main__":
    main()
