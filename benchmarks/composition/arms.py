"""The arms of the composition experiment, as data: which scenes each sees, and what it may keep.

Planned in `README.md` before anything was run. Two models are trained alike; each is the control of
the other where they differ. The held-out pairs themselves are the library's, as any model can be
asked about them (`composer-pl eval composition`).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from composer_pl.data.scenes.rules import SceneRules
from composer_pl.evaluation.composition.pairs import HELD_OUT, PAIRS, SEEN

__all__ = ["HELD_OUT", "NEVER_TOGETHER", "PAIRS", "RULES", "SEEN", "USUAL_SIZE", "keep_filter"]

KeepFilter = Callable[[Tensor, Sequence[str], torch.Generator | None], Tensor]
"""(keep mask `(n, b)`, names of the n conditions, generator) -> keep mask."""

USUAL_SIZE: dict[str, str] = {"metal": "small", "matte": "medium", "shiny": "large"}
"""Material -> the size that nine tenths of its objects have in arm B."""

NEVER_TOGETHER: tuple[str, str] = ("sketch", "color")
"""Conditions of which arm B never keeps both."""

RULES: dict[str, SceneRules] = {
    "A": SceneRules(max_objects=3, excluded=HELD_OUT),
    "B": SceneRules(
        max_objects=3, correlated={f"{m} {size}": 0.9 for m, size in USUAL_SIZE.items()}
    ),
    "judge": SceneRules(max_objects=3),
}
"""Scenes of each arm, and those that the judge learns from: one to three objects, which a few
minutes of training at 64 px can tell apart."""


def keep_filter(arm: str) -> KeepFilter:
    """What an arm does to each batch's keep mask in training.

    Args:
        arm: "A" changes nothing; "B" drops one of `NEVER_TOGETHER` by a fair coin where both are
            kept.
    """
    return _one_of_the_two if arm == "B" else _unchanged


def _unchanged(
    keep: Tensor, names: Sequence[str], generator: torch.Generator | None = None
) -> Tensor:
    return keep


def _one_of_the_two(
    keep: Tensor, names: Sequence[str], generator: torch.Generator | None = None
) -> Tensor:
    first, second = (list(names).index(name) for name in NEVER_TOGETHER)
    coin = torch.rand(keep.shape[1], device=keep.device, generator=generator) < 0.5
    both = keep[first] & keep[second]
    keep = keep.clone()
    keep[first] &= ~(both & coin)
    keep[second] &= ~(both & ~coin)
    return keep
