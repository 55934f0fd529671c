"""The learning rate as a pure function of the step, so that a resumed run needs no state for it."""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from composer_pl.errors import ConfigError


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, then constant or a half cosine; a factor on the optimiser's own `lr`.

    The paper does not say which schedule it used; warm-up followed by a constant rate is what the
    lab's library and unCLIP's code base offer, and the default here.

    Args:
        warmup_steps: Optimiser steps until the full rate is reached.
        decay: What follows: the full rate for ever, or a cosine down to `final`.
        decay_steps: Optimiser step at which the cosine ends; needed with `decay: cosine`.
        final: Factor at the end of the cosine.
    """

    warmup_steps: int = 1000
    decay: Literal["constant", "cosine"] = "constant"
    decay_steps: int | None = None
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse contradictions before anything is built."""
        if self.decay == "cosine" and (self.decay_steps or 0) <= self.warmup_steps:
            raise ConfigError(
                f"Reading model.learning_rate: a cosine needs decay_steps above warmup_steps "
                f"({self.warmup_steps}), found {self.decay_steps}. Next: set "
                f"model.learning_rate.decay_steps, usually to trainer.max_steps."
            )

    def factor(self, step: int) -> float:
        """What the rate is multiplied by at optimiser step `step`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.decay == "constant" or self.decay_steps is None:
            return 1.0
        done = min(1.0, (step - self.warmup_steps) / (self.decay_steps - self.warmup_steps))
        return self.final + (1 - self.final) * 0.5 * (1 + cos(pi * done))
