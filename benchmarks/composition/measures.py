"""Marks of materials, and the contrasts of the plan; marks of pairs are the library's."""

from collections.abc import Mapping
from typing import Any

import torch
from arms import USUAL_SIZE
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.vocabulary import MATERIALS
from composer_pl.evaluation.composition.marks import Marks
from composer_pl.evaluation.intervals import interval_of, mean_of, resampled_means


def material_marks(
    logits: Float[Tensor, "n 4"], asked: Int[Tensor, " n"], kinds: tuple[str, ...]
) -> Marks:
    """Score the most probable material of pictures of one object.

    Args:
        logits: The judge's, in the order of `MATERIALS`.
        asked: Indices in `kinds`.
        kinds: `UNUSUAL` or `USUAL`.
    """
    usual = {size: material for material, size in USUAL_SIZE.items()}
    words = [kind.split() for kind in kinds]
    wanted = torch.tensor([MATERIALS.index(m) for m, _ in words], device=logits.device)
    habit = torch.tensor([MATERIALS.index(usual[s]) for _, s in words], device=logits.device)
    answer = logits.argmax(1)
    rivals = wanted.unique()
    different = rivals[None] != wanted[asked][:, None]
    marks = {
        "material right": answer == wanted[asked],
        "usual instead": (answer == habit[asked]) & (habit[asked] != wanted[asked]),
        "material right, shuffled": ((answer[:, None] == rivals[None]) & different).sum(1)
        / different.sum(1),
    }
    return {name: mark.float().cpu() for name, mark in marks.items()}


def interval(draws: Float[Tensor, " draws"], value: float) -> list[float]:
    """[value, low, high] of 95%, rounded."""
    found = interval_of(draws, value)
    return [round(number, 4) for number in (found.value, found.low, found.high)]


def summary(marks: Marks, clusters: Int[Tensor, " n"]) -> dict[str, list[float]]:
    """[mean, low, high] of every measure, by clusters."""
    draws = resampled_means(marks, clusters)
    return {name: interval(draws[name], mean_of(mark)) for name, mark in marks.items()}


def pair_contrast(
    held: Mapping[str, Marks],
    seen: Mapping[str, Marks],
    held_clusters: Tensor,
    seen_clusters: Tensor,
    measure: str,
    wrong: str,
) -> dict[str, Any]:
    """R and D of the plan, and its verdict.

    Args:
        held: "A" and "B" -> marks on held-out pairs.
        seen: The same on seen pairs.
        held_clusters: Pair of each picture of `held`.
        seen_clusters: Pair of each picture of `seen`.
        measure: What is right.
        wrong: The confusion that it is held against.
    """
    draws = resampled_means({arm: held[arm][measure] for arm in "AB"}, held_clusters, seed=1)
    control = resampled_means({arm: seen[arm][measure] for arm in "AB"}, seen_clusters, seed=2)
    a, b = (mean_of(held[arm][measure]) for arm in "AB")
    c, d = (mean_of(seen[arm][measure]) for arm in "AB")
    ratio = interval(draws["A"] / draws["B"], a / b if b else float("nan"))
    double = interval((draws["A"] - control["A"]) - (draws["B"] - control["B"]), (a - c) - (b - d))
    confused = mean_of(held["A"][wrong])
    if ratio[1] >= 0.8 and a > confused:
        verdict = "composes"
    elif ratio[2] < 0.5 or confused >= a:
        verdict = "fails"
    else:
        verdict = "partly"
    return {"R": ratio, "D": double, "verdict": verdict}


def retention_contrast(marks: Mapping[str, Marks], names: tuple[str, str]) -> dict[str, Any]:
    """Retention of each condition in both arms, B - A, and the plan's verdict.

    Args:
        marks: "A" and "B" -> "NAME alone", "NAME both", "NAME floor".
        names: The two conditions.
    """
    draws = {arm: resampled_means(marks[arm], seed=3) for arm in "AB"}
    means = {arm: {n: mean_of(m) for n, m in marks[arm].items()} for arm in "AB"}
    found: dict[str, Any] = {}
    lows, highs = [], []
    for name in names:

        def retained(of: Mapping[str, Any], name: str = name) -> Any:
            alone, floor = of[f"{name} alone"], of[f"{name} floor"]
            gap = alone - floor
            if not isinstance(gap, Tensor) and not gap:
                return float("nan")  # nothing to retain
            return (of[f"{name} both"] - floor) / gap

        line = {arm: interval(retained(draws[arm]), retained(means[arm])) for arm in "AB"}
        line["B - A"] = interval(
            retained(draws["B"]) - retained(draws["A"]),
            retained(means["B"]) - retained(means["A"]),
        )
        lows.append(line["B - A"][1])
        highs.append(line["B - A"][2])
        found[name] = line
    found["verdict"] = _against_loss(min(lows), min(highs))
    return found


def material_contrast(
    unusual: Mapping[str, Marks], usual: Mapping[str, Marks], clusters: tuple[Tensor, Tensor]
) -> dict[str, Any]:
    """D of the plan for the correlated attributes, by combination and by picture."""
    name = "material right"
    a, b = (mean_of(unusual[arm][name]) for arm in "AB")
    c, d = (mean_of(usual[arm][name]) for arm in "AB")
    found: dict[str, Any] = {}
    for title, labels in (("D", clusters), ("D, by picture", (None, None))):
        first = resampled_means({arm: unusual[arm][name] for arm in "AB"}, labels[0], seed=4)
        second = resampled_means({arm: usual[arm][name] for arm in "AB"}, labels[1], seed=5)
        draws = (first["B"] - second["B"]) - (first["A"] - second["A"])
        found[title] = interval(draws, (b - d) - (a - c))
    found["verdict"] = _against_loss(found["D"][1], found["D"][2])
    return found


def _against_loss(low: float, high: float) -> str:
    """The plan's rule: a loss of a tenth is the border."""
    if low > -0.1:
        return "composes"
    return "fails" if high < -0.1 else "undecided"
