"""Whether a condition is obeyed, ignored or being forgotten, from scores of the same few pictures.

Pure arithmetic over a history of scores; `composer_pl.systems.probe` makes them.

A score alone says little. What counts is a picture's *gain*: how much better it fits its own value
than those of other pictures (`composer_pl.systems.probe_set.gains_of`). Of a model that ignores a
condition the mean gain is 0 whatever the measure, since its pictures cannot tell the values apart.
The *way* is the mean gain as a share of what the true pictures gain: 0 is the floor, 1 the ceiling.
"""

from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

CONFIDENCE = 0.95
"""Of every interval here."""
NEAR = 0.25
"""A condition at the floor has an interval of its way that holds 0 and ends below this; one that
reaches further is undecided, for which more pictures are needed."""
FORGOTTEN = 0.5
"""A forgotten condition keeps less than this share of the best way it had."""
LEAST_PICTURES = 4
"""Pictures with a value of the condition below which nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with the ends of its interval."""

    value: float
    low: float
    high: float

    def __truediv__(self, length: float) -> "Mean":
        """Mean and ends as shares of a length."""
        return Mean(self.value / length, self.low / length, self.high / length)

    def __str__(self) -> str:
        """As percentages."""
        return f"{self.value:.0%} [{self.low:.0%}, {self.high:.0%}]"


def mean_of(values: Float[Tensor, " n"]) -> Mean:
    """Mean of one number a picture with Student's interval; NaN is undefined and left out.

    Of fewer than two numbers the interval is all numbers.
    """
    values = values.double()
    values = values[values.isfinite()]
    count = len(values)
    if count < 2:
        return Mean(float(values.mean()) if count else 0.0, -float("inf"), float("inf"))
    mean = float(values.mean())
    half = student(count - 1) * float(values.std()) / sqrt(count)
    return Mean(mean, mean - half, mean + half)


def student(freedom: int) -> float:
    """Quantile of Student's t for two-sided intervals of `CONFIDENCE`.

    By the expansion in 1 / freedom (Abramowitz and Stegun 26.7.5); to 1% from 3 degrees on.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    if freedom < 3:
        return {1: 12.706, 2: 4.303}[freedom]
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


@dataclass
class Track:
    """The history of one condition.

    Attributes:
        length: Mean gain of the true pictures, which is a way of 1.
        steps: Optimiser steps of the probes.
        gains: Gain of each picture at each probe.
        said: What was said of it already, each thing once a run.
    """

    length: float = 1.0
    steps: list[int] = field(default_factory=list)
    gains: list[Float[Tensor, " n"]] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def add(self, step: int, gains: Float[Tensor, " n"]) -> None:
        """Enter one probe."""
        self.steps.append(step)
        self.gains.append(gains.detach().float().cpu())

    def way(self, probe: int = -1) -> Mean:
        """The way at one probe, the last by default."""
        return mean_of(self.gains[probe]) / self.length

    def verdict(self, patience: int) -> tuple[str, str]:
        """What is to be said after a probe.

        Args:
            patience: Probes in a row that a claim needs.

        Returns:
            A word, `ignored`, `forgotten` or `obeyed`, and a sentence; empty texts when there is
            nothing new to say. `obeyed` takes back an earlier `ignored`.
        """
        word, text = self._judged(patience)
        if not word or word in self.said or (word == "obeyed" and "ignored" not in self.said):
            return "", ""
        self.said.add(word)
        return word, text

    def _judged(self, patience: int) -> tuple[str, str]:
        count = len(self.steps)
        if count < patience:
            return "", ""
        last = [self.way(probe) for probe in range(count - patience, count)]
        best = self._best_before(count - patience, patience)
        if best is not None:
            step, before = best
            now = torch.stack(self.gains[-patience:]).mean(0)
            had, has = mean_of(before) / self.length, mean_of(now) / self.length
            if mean_of(before - now).low > 0 and has.value < FORGOTTEN * had.value:
                return "forgotten", (
                    f"it had gone {had.value:.0%} of the way to the true pictures around step "
                    f"{step}, and {has} over the last {patience} probes"
                )
        elif all(way.low <= 0 and way.high < NEAR for way in last):
            return "ignored", (
                f"at each of the last {patience} probes, pictures drawn from it alone fit their "
                f"own values no better than those of others ({last[-1]} of the way to the true "
                f"pictures)"
            )
        if all(way.low > 0 for way in last):
            return "obeyed", f"it has gone {last[-1]} of the way to the true pictures"
        return "", ""

    def _best_before(self, end: int, patience: int) -> tuple[int, Float[Tensor, " n"]] | None:
        """Step and gains of the best stretch of probes that was clearly obeyed; None if none was.

        A stretch is as long as what it is held against, and does not overlap it.
        """
        found = None
        for last in range(patience, end + 1):
            gains = torch.stack(self.gains[last - patience : last]).mean(0)
            mean = mean_of(gains)
            clear = mean.low > 0 and mean.value >= NEAR * self.length
            if clear and (found is None or mean.value > mean_of(found[1]).value):
                found = (self.steps[last - 1 - patience // 2], gains)
        return found

    # -- as plain data -----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, object]:
        """The history as data that a checkpoint holds."""
        gains = torch.stack(self.gains) if self.gains else torch.zeros(0)
        return {
            "length": self.length,
            "steps": list(self.steps),
            "gains": gains,
            "said": sorted(self.said),
        }

    @classmethod
    def from_dict(cls, data: dict) -> "Track":  # type: ignore[type-arg]
        """The way back of `to_dict`."""
        return cls(
            length=float(data["length"]),
            steps=list(data["steps"]),
            gains=list(data["gains"]),
            said=set(data["said"]),
        )
