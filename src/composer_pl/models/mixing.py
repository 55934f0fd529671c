"""From condition sets and a recipe to what the network is asked in each step."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.diffusion.guidance import Branch, Mixture, Weight
from composer_pl.errors import UserInputError
from composer_pl.models.recipe import ConditionGuidance, SamplingRecipe
from composer_pl.models.regions import region_map
from composer_pl.types import ConditionSignals

MOST_WEIGHTED = 4
"""Conditions with a weight or region of their own; each doubles the branches of a step."""

Encode = Callable[[Sequence[str]], ConditionSignals]
"""Names of conditions of a set -> signals of the rows at hand."""

_Set = tuple[str, tuple[str, ...]]


def mixture_function(
    recipe: SamplingRecipe,
    *,
    c2: Sequence[str],
    c1: Sequence[str] | None,
    encode_c2: Encode,
    encode_c1: Encode,
    samples: int,
    size: tuple[int, int],
    num_timesteps: int,
    device: torch.device,
    told: Callable[[ConditionSignals], ConditionSignals] = lambda signals: signals,
) -> Callable[[Tensor], Mixture]:
    """The mixture of each step.

    `eps = w eps(c2) + (1 - w) eps(c1)`, where eps(c2) runs over subsets of its weighted conditions:
    `sum over subsets S of prod_(i in S) s_i prod_(i not in S) (1 - s_i) eps(S and the rest)`, which
    is eps with a condition where its s is 1 and eps without it where s is 0, at every pixel.

    Args:
        recipe: Weights, windows, regions.
        c2: Names of the set that is guided towards.
        c1: Names of the other set; None asks `c2` alone.
        encode_c2: Signals of names of `c2`.
        encode_c1: Signals of names of `c1`.
        samples: Rows of a batch.
        size: Height and width of the pictures.
        num_timesteps: Of the schedule, which tells how far a timestep is on the walk.
        device: Where maps lie.
        told: Adds to the signals of every set, the empty one too, what all are told alike.

    Raises:
        UserInputError: Too many conditions have weights or regions of their own.
    """
    weighted = {n: own for n, own in recipe.conditions.items() if n in c2 and _counts(own)}
    if len(weighted) > MOST_WEIGHTED:
        raise UserInputError(
            f"Setting the sampling recipe: at most {MOST_WEIGHTED} conditions can have a weight or "
            f"region of their own at once, as each doubles the work, found {len(weighted)}: "
            f"{', '.join(weighted)}. Next: leave some at weight 1."
        )
    strengths = {name: _strength(own, size, device) for name, own in weighted.items()}

    @cache
    def mixture(present: frozenset[str], guides: bool) -> Mixture:
        wanted = tuple(name for name in c2 if name in present)
        absent = tuple(n for n in wanted if isinstance(s := strengths.get(n), float) and s == 0)
        wanted = tuple(name for name in wanted if name not in absent)
        w = recipe.guidance if guides and c1 is not None else 1.0
        plain = _subsets(wanted, strengths)
        weights: dict[_Set, list[Weight]] = {}
        for names, weight in plain.items():
            key = ("c2", names) if names else ("", ())
            weights[key] = [w * weight, weight]
        if w != 1 and c1 is not None:
            names = tuple(name for name in c1 if name in present)
            key = ("c1", names) if names else ("", ())
            before = weights.get(key, [0.0, 0.0])
            weights[key] = [before[0] + (1 - w), before[1]]
        branches = []
        for (which, names), (weight, unguided) in weights.items():
            encode = encode_c1 if which == "c1" else encode_c2
            signals = encode(names) if names else ConditionSignals()
            branches.append(Branch(signals=told(signals), weight=weight, unguided=unguided))
        # The first, the whole set, gives the variance and stays; others that count nowhere do not.
        kept = branches[:1] + [b for b in branches[1:] if not _nowhere(b)]
        return Mixture(branches=kept, samples=samples)

    windows = {n: (own.start, own.end) for n, own in recipe.conditions.items()}
    always = frozenset([*c2, *(c1 or ())])
    timed = recipe.guidance_start > 0 or recipe.guidance_end < 1
    timed = timed or any(windows[n] != (0, 1) for n in windows if n in always)
    if not timed:
        constant = mixture(always, True)
        return lambda t: constant

    def at(t: Tensor) -> Mixture:
        walked = 1 - float(t[0]) / (num_timesteps - 1)  # the one place that waits for the device
        present = frozenset(n for n in always if _inside(walked, *windows.get(n, (0.0, 1.0))))
        guides = _inside(walked, recipe.guidance_start, recipe.guidance_end)
        return mixture(present, guides)

    return at


def _subsets(
    names: tuple[str, ...], strengths: Mapping[str, Weight]
) -> dict[tuple[str, ...], Weight]:
    """Weight of each subset of a set; the whole set comes first."""
    weighted = [name for name in names if name in strengths]
    found: dict[tuple[str, ...], Weight] = {}
    for choice in product((True, False), repeat=len(weighted)):
        weight: Weight = 1.0
        for name, kept in zip(weighted, choice, strict=True):
            weight = weight * (strengths[name] if kept else 1 - strengths[name])
        left_out = {n for n, kept in zip(weighted, choice, strict=True) if not kept}
        found[tuple(name for name in names if name not in left_out)] = weight
    return found


def _counts(own: ConditionGuidance) -> bool:
    return own.weight != 1 or bool(own.region)


def _strength(
    own: ConditionGuidance, size: tuple[int, int], device: torch.device
) -> float | Float[Tensor, "1 1 h w"]:
    if not own.region:
        return float(own.weight)
    return own.weight * region_map(own.region, size).to(device)


def _nowhere(branch: Branch) -> bool:
    return all(
        bool((weight == 0).all()) if isinstance(weight, Tensor) else weight == 0
        for weight in (branch.weight, branch.unguided)
    )


def _inside(walked: float, start: float, end: float) -> bool:
    return start - 1e-6 <= walked <= end + 1e-6
