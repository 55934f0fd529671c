"""Effects of conditions as tables, a plot and measurements."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.evaluation.attribution.effects import Effects
from composer_pl.evaluation.intervals import Interval, interval_of, mean_interval, resampled_means
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import Part, Plot, Table

PROTOCOL = "attribution"
OVER = "over pictures"


def attribution_parts(
    effects: Effects, *, num_timesteps: int, notes: Sequence[str] = ()
) -> list[Part]:
    """What a report shows of effects.

    Args:
        effects: Of some pictures.
        num_timesteps: Of the model's schedule, for the names of bands.
        notes: Sentences about the pictures.
    """
    bands = _bands(effects, num_timesteps)
    columns = ["condition", *bands, "all levels"]
    how = (
        "Exact: every subset of the conditions was asked."
        if effects.orders is None
        else f"From {effects.orders} sampled orders of the conditions a picture; intervals hold "
        "what the sampling adds."
    )
    text = (
        "How much each condition lowers the denoising loss. All subsets of conditions see the same "
        "noisy pictures. A value below 0 says that the condition does harm. The Shapley effect "
        "divides the fall of the loss among the conditions: their effects sum to that of all. "
        "What is lost without a condition is small where others say the same; what it does alone "
        f"is large then. {how}"
    )
    parts: list[Part] = [text, *notes, _summary(effects)]
    tables = {
        "Shapley effect by noise level": effects.shapley,
        "Left out of all: how much the loss rises": effects.left_out,
        "Alone: how much the loss falls": effects.alone,
    }
    for title, found in tables.items():
        rows = [
            [name, *_by_band(effect)] for name, effect in zip(effects.names, found, strict=True)
        ]
        rows.append(["all together", *_by_band(effects.total)])
        parts.append(Table(title, columns, rows, note=f"95% intervals {OVER}."))
    losses = {"no condition": effects.none, "every condition": effects.all}
    rows = [[name, *_by_band(loss)] for name, loss in losses.items()]
    parts.append(Table("Denoising loss", ["given", *bands, "all levels"], rows))
    middle = [(i + 0.5) * num_timesteps / len(bands) for i in range(len(bands))]
    series = {
        name: [
            (t, found.value, found.low, found.high)
            for t, found in zip(middle, _by_band(effect), strict=False)
        ]
        for name, effect in zip(effects.names, effects.shapley, strict=True)
    }
    parts.append(
        Plot(
            "Shapley effect by noise level",
            "timestep (0 is the least noise)",
            "fall of the denoising loss",
            series,
        )
    )
    return parts


def attribution_measurements(
    effects: Effects, settings: Mapping[str, Any], *, num_timesteps: int
) -> list[Measurement]:
    """Every effect as a number of its own; undefined ones are left out.

    Args:
        effects: Of some pictures.
        settings: What made them, see `Measurement`.
        num_timesteps: Of the model's schedule, for the names of bands.
    """
    bands = [*_bands(effects, num_timesteps), "all levels"]
    found: dict[str, Interval] = {}
    kinds = {
        "Shapley effect": effects.shapley,
        "left out": effects.left_out,
        "alone": effects.alone,
    }
    for kind, effect in kinds.items():
        for name, own in zip(effects.names, effect, strict=True):
            for band, interval in zip(bands, _by_band(own), strict=True):
                found[f"{kind} of {name}, {band}"] = interval
    for name, own in zip(effects.names, effects.shapley, strict=True):
        found[f"share of {name}, all levels"] = _share(own, effects.total)
    for band, interval in zip(bands, _by_band(effects.total), strict=True):
        found[f"effect of all, {band}"] = interval
    return [
        Measurement(
            protocol=PROTOCOL,
            measure=measure,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            interval=OVER,
            count=len(effects.none),
            of_protocol=True,
            settings=settings,
        )
        for measure, interval in found.items()
        if isfinite(interval.value) and interval.value in interval
    ]


def _summary(effects: Effects) -> Table:
    rows = [
        [
            name,
            mean_interval(effects.shapley[i].mean(1)),
            _share(effects.shapley[i], effects.total),
            mean_interval(effects.left_out[i].mean(1)),
            mean_interval(effects.alone[i].mean(1)),
        ]
        for i, name in enumerate(effects.names)
    ]
    rows.sort(key=lambda row: -row[1].value)
    columns = ["condition", "Shapley effect", "share of all", "left out", "alone"]
    return Table(
        "What each condition is worth",
        columns,
        rows,
        note=f"Means over noise levels; 95% intervals {OVER}. The share is of the fall of the loss "
        "by all conditions.",
        formats={"share of all": ".1%"},
    )


def _share(own: Float[Tensor, "b bands"], total: Float[Tensor, "b bands"]) -> Interval:
    """Share of an effect in that of all, pictures resampled jointly."""
    values = {"own": own.mean(1), "total": total.mean(1)}
    draws = resampled_means(values)
    shares = torch.where(draws["total"] == 0, torch.nan, draws["own"] / draws["total"])
    whole = float(values["total"].mean())
    value = float(values["own"].mean()) / whole if whole else float("nan")
    return interval_of(shares, value)


def _by_band(effect: Float[Tensor, "b bands"]) -> list[Interval]:
    """Mean over pictures of each band, and of all."""
    return [mean_interval(own) for own in (*effect.T, effect.mean(1))]


def _bands(effects: Effects, num_timesteps: int) -> list[str]:
    count = effects.none.shape[1]
    ends = [round(i * num_timesteps / count) for i in range(count + 1)]
    return [f"t {ends[i]}-{ends[i + 1] - 1}" for i in range(count)]
