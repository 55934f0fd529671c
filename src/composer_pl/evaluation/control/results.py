"""What was measured, as numbers with intervals: ways, pairs, baselines, and the result in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from composer_pl.evaluation.control.baselines import Baseline
from composer_pl.evaluation.control.measure import (
    ALL,
    ALONE,
    BLIND,
    BLIND_FLOOR,
    CEILING,
    FLOOR,
    Control,
    floor_of,
    with_arm,
)
from composer_pl.evaluation.control.scorers import Scorer
from composer_pl.evaluation.intervals import (
    Interval,
    interval_of,
    mean_interval,
    mean_of,
    resampled_means,
    way_interval,
)

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
        pictures: How many have a score.
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
    pictures: int

    @property
    def ignored(self) -> bool:
        """Whether the pictures do not show the condition.

        Resamples of scores that are all alike say nothing of chance: what none of n pictures shows,
        up to 3 / n of others may.
        """
        unseen = 3 / self.pictures if self.way.low == self.way.high else 0.0
        return self.way.high + unseen < LEAST_WAY

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
        given: `ALONE`, or `ALL`: all that the baseline is given.
        way: How far its pictures lie, above their own floor.
        own: How far those of the model lie; None where the model is given other conditions.
        ahead: How much farther those of the model lie, pictures resampled together; None as `own`.
    """

    baseline: Baseline
    scorer: Scorer
    given: str
    way: Interval
    own: Interval | None
    ahead: Interval | None


def beside(control: Control, baselines: Sequence[Baseline]) -> list[Beside]:
    """What baselines reach, a line for each of their conditions alone, and one with all given.

    A way is what it would be if the baseline were the model that is measured: one that ignores its
    conditions is at 0, however easy its pictures make it to fit any condition.
    """
    found = []
    for scorer in control.scorers:
        scores = _scores(control, scorer)
        for baseline in baselines:
            alike = set(baseline.names) == set(control.names)
            for given, arm in ((ALONE, scorer.condition), (ALL, ALL)):
                theirs = scores.get(baseline.arm(arm))
                if theirs is None:
                    continue
                floor = scores[floor_of(baseline.arm(scorer.condition))]
                own, ahead = None, None
                if given == ALONE or alike:
                    own = way_interval(scores[given], scores[FLOOR], scores[CEILING])
                    ahead = _ahead(scores, scores[given], theirs, floor)
                found.append(
                    Beside(
                        baseline=baseline,
                        scorer=scorer,
                        given=given,
                        way=way_interval(theirs, floor, scores[CEILING]),
                        own=own,
                        ahead=ahead,
                    )
                )
    return found


def verdicts(lines: Sequence[Line]) -> list[str]:
    """The result in words, for the report and the terminal."""
    said = []
    best = counted_lines(lines)
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
    best: dict[str, Line] = {}
    for line in lines:
        present = best.get(line.scorer.condition)
        if present is None or (line.scorer.independent and not present.scorer.independent):
            best[line.scorer.condition] = line
    return list(best.values())


def _ahead(scores: Mapping[str, Tensor], own: Tensor, theirs: Tensor, floor: Tensor) -> Interval:
    """The way of the model's pictures minus that of a baseline's, by its own floor."""
    values = {"own": own, "theirs": theirs, "own floor": scores[FLOOR], "floor": floor}
    values["ceiling"] = scores[CEILING]
    means = {name: torch.tensor(mean_of(value)) for name, value in values.items()}

    def apart(of: Mapping[str, Tensor]) -> Tensor:
        length, other = of["ceiling"] - of["own floor"], of["ceiling"] - of["floor"]
        way, behind = (of["own"] - of["own floor"]) / length, (of["theirs"] - of["floor"]) / other
        return torch.where((length == 0) | (other == 0), torch.nan, way - behind)

    return interval_of(apart(resampled_means(values)), float(apart(means)))


def _scores(control: Control, scorer: Scorer) -> dict[str, Tensor]:
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
        pictures=int(scores[ALONE].isfinite().sum()),
    )
