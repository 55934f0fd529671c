"""Loss curves: reading, smoothing, and whether one is on the track of others.

A curve is a CSV file whose first line begins with `step,loss`: one row for each optimiser step, or
for every so many of them, each the mean loss since the row before. `composer-pl fit` writes one as
`metrics.csv`. Further columns are ignored.
"""

import csv
import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path
from statistics import fmean, stdev

from composer_pl.errors import UserInputError

TOO_EARLY = 50
"""Steps before which no judgement is made: the first losses fall for every model."""
SHARE = 0.2
"""Share of the steps so far that a mean looks back over."""
SIGMAS = 2.5
"""Half width of the band in standard deviations of the difference of two such means."""
LEAST_BAND = 0.03
"""Least half width of the band, as a share of the loss: another BLAS or machine is no fault."""
DIVERGED = 1.5
"""A mean so many times the least one before, and above the band, has diverged."""


@dataclass(frozen=True)
class Curve:
    """Steps in rising order and their losses."""

    steps: Sequence[int]
    losses: Sequence[float]

    @property
    def last(self) -> int:
        """The last step."""
        return self.steps[-1]

    def window(self, step: int) -> list[float]:
        """The losses that the mean at a step is taken over: those of the last fifth of the way."""
        end = bisect_right(self.steps, step)
        first = bisect_right(self.steps, step - max(1, round(SHARE * step)))
        return list(self.losses[min(first, max(end - 1, 0)) : end])

    def mean(self, step: int) -> float:
        """The mean loss at a step; NaN before the first row."""
        found = self.window(step)
        return fmean(found) if found else float("nan")

    def error(self, step: int) -> float:
        """Standard error of that mean, from how much neighbouring rows differ."""
        found = self.window(step)
        if len(found) < 3:
            return 0.0
        # Differences of neighbours hold the noise and not the fall of the loss.
        noise = stdev([b - a for a, b in itertools.pairwise(found)]) / sqrt(2)
        return noise / sqrt(len(found))


@dataclass(frozen=True)
class Band:
    """What references let expect at a step: `mean` give or take `width`."""

    mean: float
    width: float


@dataclass(frozen=True)
class Verdict:
    """How a run stands.

    Attributes:
        state: One of "on track", "ahead", "behind", "diverged", "too early to tell".
        text: The same in a sentence, with its figures.
    """

    state: str
    text: str


def read_curve(path: str | Path) -> Curve:
    """Read a curve; see the module for its format.

    Raises:
        UserInputError: There is no such file, or it holds no curve.
    """
    path = Path(path)
    steps: list[int] = []
    losses: list[float] = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                # A row that is being written now, or was when the power went, has no loss yet.
                if row.get("step") and row.get("loss"):
                    steps.append(int(row["step"]))
                    losses.append(float(row["loss"]))
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserInputError(
            f"Reading the loss curve {str(path)!r}: expected rows of step,loss, found: {reason}. "
            f"Next: name the folder of a `composer-pl fit` run."
        ) from error
    if not steps or any(b <= a for a, b in itertools.pairwise(steps)) or steps[0] < 0:
        found = "no rows" if not steps else "steps that do not rise"
        raise UserInputError(
            f"Reading the loss curve {str(path)!r}: expected rows of step,loss with rising steps, "
            f"found {found}. Next: let the run go on for a few steps, or run it anew."
        )
    return Curve(steps, losses)


def band(references: Sequence[Curve], step: int, run: Curve | None = None) -> Band:
    """What the references let expect at a step.

    Half its width is 2.5 standard deviations: of the references among each other where there are
    several, and of the noise of both means, the run's and theirs; at least 3 % of the loss.
    """
    means = [curve.mean(min(step, curve.last)) for curve in references]
    mean = fmean(means)
    spread = stdev(means) if len(means) > 1 else 0.0
    own = fmean([curve.error(min(step, curve.last)) for curve in references])
    noise = run.error(step) if run is not None else own
    width = SIGMAS * sqrt(spread**2 + noise**2 + own**2 / len(references))
    return Band(mean, max(width, LEAST_BAND * abs(mean)))


def judge(run: Curve, references: Sequence[Curve]) -> Verdict:
    """Hold the end of a run against the references, at the same step."""
    step = min(run.last, min(curve.last for curve in references))
    bad = [s for s, v in zip(run.steps, run.losses, strict=True) if not isfinite(v)]
    if bad:
        return Verdict("diverged", f"diverged: the loss of step {bad[0]} is not a finite number")
    if step < TOO_EARLY:
        return Verdict(
            "too early to tell",
            f"too early to tell: {run.last} steps so far; from step {TOO_EARLY} on it can be told",
        )
    mine, expected = run.mean(step), band(references, step, run)
    facts = (
        f"at step {step} the loss is {mine:.3f}, reference {expected.mean:.3f} "
        f"± {expected.width:.3f}"
    )
    if run.last > step:
        facts += f" (the reference ends there; this run is at step {run.last})"
    grid = [s for s in run.steps if TOO_EARLY // 2 <= s <= run.last]
    least = min((run.mean(s) for s in grid[:: max(1, len(grid) // 200)]), default=mine)
    now = run.mean(run.last)
    if now > DIVERGED * least and now > expected.mean + expected.width:
        return Verdict("diverged", f"diverged: {facts}; its own least mean was {least:.3f}")
    if mine > expected.mean + expected.width:
        earlier = earlier_step(references, mine, step)
        where = f"as the reference at step {earlier}" if earlier else "above all of the reference"
        return Verdict("behind", f"behind: {facts}; {where}")
    if mine < expected.mean - expected.width:
        return Verdict("ahead", f"ahead: {facts}")
    return Verdict("on track", f"on track: {facts}")


def earlier_step(references: Sequence[Curve], loss: float, before: int) -> int:
    """The first step at which the references' mean had fallen to a loss; 0 if it never had."""
    for step in (s for s in references[0].steps if TOO_EARLY // 5 <= s <= before):
        if fmean([curve.mean(min(step, curve.last)) for curve in references]) <= loss:
            return step
    return 0
