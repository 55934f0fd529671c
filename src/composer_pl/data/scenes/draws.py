"""A stream of uniform numbers from a key, for choices made one after another in plain Python."""

from collections.abc import Sequence
from typing import TypeVar

import torch

from composer_pl.randomness import keyed_generator

_T = TypeVar("_T")
_BLOCK = 48  # drawn at once: calling torch for each number would take longer than all the rest


class Draws:
    """Uniform numbers that only the key decides."""

    def __init__(self, *parts: int | str):
        """Begin the stream of a key, see `composer_pl.randomness.derive_key`."""
        self._generator = keyed_generator(*parts)
        self._values: list[float] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw a number in [low, high)."""
        if not self._values:
            block = torch.rand(_BLOCK, generator=self._generator, dtype=torch.float64)
            self._values = block.tolist()
        return low + (high - low) * self._values.pop()

    def chance(self, probability: float) -> bool:
        """Tell True with a probability."""
        return self.uniform() < probability

    def choice(self, values: Sequence[_T]) -> _T:
        """Draw one of several, each as likely."""
        return values[int(self.uniform() * len(values))]

    def shuffled(self, values: Sequence[_T]) -> list[_T]:
        """Return the values in a drawn order."""
        keyed = sorted((self.uniform(), position) for position in range(len(values)))
        return [values[position] for _, position in keyed]
