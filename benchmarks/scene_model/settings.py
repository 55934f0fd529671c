"""What one training of the base model is asked, and what it leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

KeepFilter = Callable[[Tensor, Sequence[str], torch.Generator | None], Tensor]
"""Changes a keep mask `(n, b)`, given the names of its rows and a generator."""

Kept = Callable[[str, int, dict[str, Tensor]], None]
"""Told averaged weights on the way: which, the step, the weights as in `Trained`."""


@dataclass(kw_only=True)
class Trained:
    """What a training leaves.

    Attributes:
        weights: The averaged weights in half precision, on the CPU.
        curve: Step and mean loss since the last entry.
        steps: Steps made.
        seconds: Time they took, the first one left out.
        early: Averaged weights before the rule changed, see `Settings`.
        early_steps: Their step; 0 where none were asked for.
    """

    weights: dict[str, Tensor]
    curve: list[tuple[int, float]]
    steps: int
    seconds: float
    early: dict[str, Tensor]
    early_steps: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one training.

    Attributes:
        steps: Most steps.
        seconds: Most seconds; the falling of the learning rate keeps to them too.
        batch: Pictures a step.
        lr: Learning rate of AdamW.
        warmup: Steps of the linear warm-up.
        decay: Last part over which the learning rate falls to zero; 0 keeps it up.
        ema: Decay of the average.
        seed: Of all draws.
        p_drop_all: See `DropoutPolicy`.
        p_keep_all: See `DropoutPolicy`.
        early_steps: When to take `Trained.early` and to change the rule; 0 for never.
        early_rows: Scenes that are drawn until then; None draws all.
        early_share: In place of `early_steps`: which part of the training comes before.
        focus: From then on, shares of the samples that keep one condition alone; see `focus.py`.
            From the beginning on where there is no such point.
        noisy: With it, the share of timesteps from the noisiest part, and where that begins.
        even_steps: When weights are kept as "even", to compare another training of as many steps.
        keep_seconds: After how many seconds weights are kept again as "latest".
    """

    steps: int
    seconds: float = float("inf")
    batch: int = 256
    lr: float = 6e-4
    warmup: int = 300
    decay: float = 0.3
    ema: float = 0.999
    seed: int = 0
    p_drop_all: float = 0.1
    p_keep_all: float = 0.1
    early_steps: int = 0
    early_rows: int | None = None
    early_share: float = 1.0
    focus: Mapping[str, float] = field(default_factory=dict)
    noisy: tuple[float, float] = (0.0, 0.0)
    even_steps: int = 0
    keep_seconds: float = float("inf")
