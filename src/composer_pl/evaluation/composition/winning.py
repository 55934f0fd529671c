"""What is kept of each of two conditions, and which one wins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from composer_pl.evaluation.composition.crossing import CrossedScores, Marks, Pair
from composer_pl.evaluation.intervals import (
    Interval,
    interval_of,
    mean_of,
    resampled_means,
    way_interval,
)

Given = Literal["compatible", "conflicting"]


@dataclass(frozen=True, kw_only=True)
class Obeyed:
    """How far one condition is obeyed alone.

    Attributes:
        ceiling: Score of the true pictures.
        alone: Score of pictures drawn from the condition alone.
        floor: Score of those against another picture's condition.
        blind: Score of pictures drawn from nothing.
        way: (alone - floor) / (ceiling - floor).
        gap: alone - floor: what there is to keep.
    """

    ceiling: Interval
    alone: Interval
    floor: Interval
    blind: Interval
    way: Interval
    gap: Interval

    @property
    def is_obeyed(self) -> bool:
        """Whether there is anything to keep."""
        return self.gap.low > 0


@dataclass(frozen=True, kw_only=True)
class Met:
    """What two conditions keep where both are given.

    Attributes:
        pair: The conditions.
        given: Whether both were of one picture.
        first: Share of its own way that the first keeps: 1 is as if alone, 0 its floor; NaN where
            it is not obeyed alone.
        second: The same of the second.
        difference: first - second, pictures resampled jointly.
        twos: How many twos of pictures that is of.
    """

    pair: Pair
    given: Given
    first: Interval
    second: Interval
    difference: Interval
    twos: int

    @property
    def winner(self) -> str:
        """Who keeps more, in words: a condition, `neither`, `undecided`, or why it cannot be told.

        `neither` is where the whole interval of the difference lies within a tenth; `undecided`
        where it holds zero and is wider.
        """
        if self.twos < FEWEST:
            return "too few pictures"
        idle = [
            name
            for name, kept in zip(self.pair, (self.first, self.second), strict=True)
            if kept.value != kept.value
        ]
        if idle:
            return f"{' and '.join(idle)} not obeyed alone"
        low, high = self.difference.low, self.difference.high
        if low > -EVEN and high < EVEN:
            return "neither"
        if low > 0:
            return self.pair[0]
        return self.pair[1] if high < 0 else "undecided"


EVEN = 0.1
"""A difference of kept shares below this is none that matters."""

FEWEST = 4
"""Twos of pictures below which no interval is worth a verdict."""


def obeyed(scores: CrossedScores, name: str) -> Obeyed:
    """How far a condition is obeyed alone; intervals over the twos of pictures."""
    marks, clusters = scores.single[name], scores.clusters
    draws = resampled_means(marks, clusters)
    means = {arm: mean_of(mark) for arm, mark in marks.items()}
    found = {arm: interval_of(draws[arm], means[arm]) for arm in marks}
    way = way_interval(marks["alone"], marks["floor"], marks["ceiling"], clusters=clusters)
    gap = interval_of(draws["alone"] - draws["floor"], means["alone"] - means["floor"])
    return Obeyed(
        ceiling=found["ceiling"],
        alone=found["alone"],
        floor=found["floor"],
        blind=found["blind"],
        way=way,
        gap=gap,
    )


def met(scores: CrossedScores, pair: Pair, given: Given) -> Met | None:
    """What two conditions keep of their way; None where the scorer cannot tell one of them."""
    marks = scores.both[pair]
    if any(name not in scores.single for name in pair):
        return None
    measures: Marks = {}
    for place, name in zip(("first", "second"), pair, strict=True):
        measures |= {
            f"{place} both": marks[f"{given} {place}"],
            f"{place} alone": scores.single[name]["alone"],
            f"{place} floor": scores.single[name]["floor"],
        }
    draws = resampled_means(measures, scores.clusters)
    means = {name: torch.tensor(mean_of(mark)) for name, mark in measures.items()}
    kept: dict[str, tuple[Tensor, Tensor]] = {}
    for place, name in zip(("first", "second"), pair, strict=True):
        there = obeyed(scores, name).is_obeyed
        kept[place] = (_kept(draws, place, there), _kept(means, place, there))
    first, second = kept["first"], kept["second"]
    return Met(
        pair=pair,
        given=given,
        first=interval_of(first[0], float(first[1])),
        second=interval_of(second[0], float(second[1])),
        difference=interval_of(first[0] - second[0], float(first[1] - second[1])),
        twos=len(scores.clusters.unique()),
    )


def _kept(of: Mapping[str, Tensor], place: str, there: bool) -> Tensor:
    gap = of[f"{place} alone"] - of[f"{place} floor"]
    share = (of[f"{place} both"] - of[f"{place} floor"]) / gap
    return torch.where((gap == 0) | (not there), torch.nan, share)
