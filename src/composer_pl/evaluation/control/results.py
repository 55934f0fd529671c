"""What was measured, as numbers with intervals: ways, pairs, sentences, measurements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from composer_pl.evaluation.control.baselines import Baseline
from composer_pl.evaluation.control.measure import (
    ALL,
    ALONE,
    BLIND,
    BLIND_FLOOR,
    CEILING,
    FLOOR,
    Control,
    with_arm,
)
from composer_pl.evaluation.control.quality import Quality
from composer_pl.evaluation.control.scorers import Scorer
from composer_pl.evaluation.intervals import Interval, mean_interval, way_interval
from composer_pl.evaluation.measurement import Measurement

PROTOCOL = "control"
OVER = "over pictures"
LEAST_WAY = 0.1
"""A condition whose whole interval lies below this share of the way is called ignored."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One condition by one scorer.

    Attributes:
        scorer: Who says so.
        floor: Mean score of the same pictures against another picture's condition.
        alone: Of pictures drawn from the condition alone.
        ceiling: Of the true pictures.
        way: How far `alone` lies from floor to ceiling.
        whole: Of pictures drawn from all conditions; None where there is one only.
        whole_way: How far that lies.
        blind: Of pictures that know nothing.
        blind_way: How far that lies above its own floor: 0 but for chance.
    """

    scorer: Scorer
    floor: Interval
    alone: Interval
    ceiling: Interval
    way: Interval
    whole: Interval | None
    whole_way: Interval | None
    blind: Interval
    blind_way: Interval

    @property
    def ignored(self) -> bool:
        """Whether the pictures do not show the condition."""
        return self.way.high < LEAST_WAY

    @property
    def blind_at_floor(self) -> bool:
        """Whether the blind pictures score like chance, as they must."""
        return 0.0 in self.blind_way


def lines_of(control: Control) -> list[Line]:
    """One line a scorer, in the order of the conditions."""
    return [_line(control, scorer) for scorer in control.scorers]


def pair_way(control: Control, scorer: Scorer, other: str) -> Interval | None:
    """How far pictures drawn from a condition and another one lie; None where none were drawn.

    Floor and ceiling are those of the same pictures.
    """
    scores = _scores(control, scorer)
    if with_arm(other) not in scores:
        return None
    pair = scores[with_arm(other)]
    return way_interval(pair, scores[FLOOR][: len(pair)], scores[CEILING][: len(pair)])


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A condition by one scorer, drawn by a baseline from the same values and noise.

    Attributes:
        baseline: Which.
        scorer: Who says so.
        way: How far its pictures lie, between floor and ceiling of the model.
        ahead: How much farther the model's pictures lie, picture by picture.
    """

    baseline: Baseline
    scorer: Scorer
    way: Interval
    ahead: Interval


def beside(control: Control, baselines: Sequence[Baseline]) -> list[Beside]:
    """What baselines reach, one line for each of their conditions and its scorers."""
    found = []
    for scorer in control.scorers:
        scores = _scores(control, scorer)
        floor, ceiling = scores[FLOOR], scores[CEILING]
        for baseline in baselines:
            own = scores.get(baseline.arm(scorer.condition))
            if own is not None:
                ahead = way_interval(scores[ALONE], floor, ceiling, own_floor=own)
                way = way_interval(own, floor, ceiling)
                found.append(Beside(baseline=baseline, scorer=scorer, way=way, ahead=ahead))
    return found


def verdicts(lines: Sequence[Line]) -> list[str]:
    """The result in words, for the report and the terminal."""
    said = []
    best = _counted(lines)
    ignored = [line for line in best if line.ignored]
    if ignored:
        names = ", ".join(f"{line.scorer.condition} ({line.scorer.name})" for line in ignored)
        said.append(f"Ignored, or as good as: {names}.")
    beside = [line.scorer.condition for line in best if not line.scorer.independent]
    if beside:
        said.append(
            f"No independent judge here for {', '.join(beside)}: only the extractor's own word, "
            f"which is kinder, as the model learned to please it."
        )
    defined = [line for line in lines if isfinite(line.blind_way.value)]
    at_floor = sum(line.blind_at_floor for line in defined)
    said.append(
        f"Pictures that know nothing score like chance in {at_floor} of {len(defined)} rows (a "
        f"95% interval misses it by chance in one of twenty)."
    )
    return said


def counted_lines(lines: Sequence[Line]) -> list[Line]:
    """For each condition the line that counts: its first independent judge, or its own word."""
    return _counted(lines)


def control_measurements(
    lines: Sequence[Line],
    quality: Mapping[str, Quality],
    control: Control,
    settings: Mapping[str, Any],
    baselines: Sequence[Baseline] = (),
) -> list[Measurement]:
    """Every number as a measurement; undefined ones are left out.

    Args:
        lines: From `lines_of`.
        quality: Arm -> how its pictures look.
        control: What was measured.
        settings: What made the numbers, see `Measurement`.
        baselines: Other models that were measured too.
    """
    found: list[tuple[str, Interval, int, dict[str, Any]]] = []
    for line in lines:
        scorer = line.scorer
        facts = {
            "condition": scorer.condition,
            "scorer": scorer.name,
            "independent": scorer.independent,
        }
        told = {
            "floor": line.floor,
            "alone": line.alone,
            "ceiling": line.ceiling,
            "way": line.way,
            "all given": line.whole,
            "way, all given": line.whole_way,
            "blind": line.blind,
            "blind way": line.blind_way,
        }
        for what, interval in told.items():
            if interval is not None:
                name = f"{scorer.condition} by {scorer.name}: {what}"
                company = {"conditions": control.names} if what.endswith("all given") else {}
                found.append((name, interval, len(control), facts | company))
        for other in control.names:
            if (way := pair_way(control, scorer, other)) is not None:
                name = f"{scorer.condition} by {scorer.name}: way, with {other}"
                count = len(control.scores[scorer.condition, scorer.name, with_arm(other)])
                found.append((name, way, count, facts | {"with": other}))
    for other in beside(control, baselines):
        name = f"{other.scorer.condition} by {other.scorer.name}"
        facts = {"baseline": other.baseline.sha256, "scorer": other.scorer.name}
        label = other.baseline.label
        told = {f"way, {label}": other.way, f"way ahead of {label}": other.ahead}
        for what, interval in told.items():
            found.append((f"{name}: {what}", interval, len(control), facts))
    for arm, one in quality.items():
        plain = {
            "variety": one.variety,
            "kernel distance": one.kernel,
            "precision": one.precision,
            "recall": one.recall,
        }
        for what, value in plain.items():
            if value is not None:
                found.append((f"{arm}: {what}", Interval(value, value, value), len(control), {}))
        if one.spread is not None:
            found.append((f"{arm}: spread", one.spread, len(control.again[arm]), {}))
    return [
        _measurement(name, interval, count, {**settings, **facts})
        for name, interval, count, facts in found
        if isfinite(interval.value)
    ]


def _measurement(
    name: str, interval: Interval, count: int, settings: Mapping[str, Any]
) -> Measurement:
    whole = isfinite(interval.low) and interval.low < interval.high and interval.value in interval
    return Measurement(
        protocol=PROTOCOL,
        measure=name,
        value=interval.value,
        low=interval.low if whole else None,
        high=interval.high if whole else None,
        interval=OVER if whole else "none",
        count=count,
        of_protocol=True,
        settings=settings,
    )


def _scores(control: Control, scorer: Scorer) -> dict[str, Any]:
    own = (scorer.condition, scorer.name)
    return {arm: score for (*who, arm), score in control.scores.items() if tuple(who) == own}


def _line(control: Control, scorer: Scorer) -> Line:
    scores = _scores(control, scorer)
    floor, ceiling = scores[FLOOR], scores[CEILING]
    whole = scores.get(ALL)
    return Line(
        scorer=scorer,
        floor=mean_interval(floor),
        alone=mean_interval(scores[ALONE]),
        ceiling=mean_interval(ceiling),
        way=way_interval(scores[ALONE], floor, ceiling),
        whole=None if whole is None else mean_interval(whole),
        whole_way=None if whole is None else way_interval(whole, floor, ceiling),
        blind=mean_interval(scores[BLIND]),
        blind_way=way_interval(scores[BLIND], floor, ceiling, own_floor=scores[BLIND_FLOOR]),
    )


def _counted(lines: Sequence[Line]) -> list[Line]:
    best: dict[str, Line] = {}
    for line in lines:
        present = best.get(line.scorer.condition)
        if present is None or (line.scorer.independent and not present.scorer.independent):
            best[line.scorer.condition] = line
    return list(best.values())
