"""Effects of conditions as tables, a plot and measurements."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.evaluation.attribution.effects import Effects
from composer_pl.evaluation.intervals import Interval, interval_of, mean_interval, resampled_means
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import Part, Plot, Table
from composer_pl.evaluation.stated import stated

PROTOCOL = "attribution"
OVER = "over pictures"


def attribution_parts(
    effects: Effects, *, num_timesteps: int, notes: Sequence[str] = (), model: str = ""
) -> list[Part]:
    """What a report shows of effects.

    Args:
        effects: Of some pictures.
        num_timesteps: Of the model's schedule, for the names of bands.
        notes: Sentences about the pictures.
        model: Its name where a report shows several; empty where it shows one.
    """
    of = f", {model}" if model else ""
    bands = _bands(effects, num_timesteps)
    columns = ["condition", *bands, "all levels"]
    formats = dict.fromkeys(columns[1:], ".4f")
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
    heading = [f"## {model}"] if model else []
    parts: list[Part] = [*heading, text, *notes, _summary(effects, of)]
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
        parts.append(Table(title + of, columns, rows, f"95% intervals {OVER}.", formats))
    losses = {"no condition": effects.none, "every condition": effects.all}
    rows = [[name, *_by_band(loss)] for name, loss in losses.items()]
    parts.append(Table(f"Denoising loss{of}", ["given", *bands, "all levels"], rows, "", formats))
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
            f"Shapley effect over noise levels{of}",
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
    count = len(effects.none)
    return stated(found, protocol=PROTOCOL, over=OVER, count=count, groups=count, settings=settings)


def _summary(effects: Effects, of: str) -> Table:
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
        f"What each condition is worth{of}",
        columns,
        rows,
        note=f"Means over noise levels; 95% intervals {OVER}. The share is of the fall of the loss "
        "by all conditions.",
        formats={"share of all": ".1%"} | dict.fromkeys(columns[1:2] + columns[3:], ".4f"),
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
    """Names of bands by the timesteps that they hold; one that two share is in both names."""
    count = effects.none.shape[1]
    return [
        f"t {i * num_timesteps // count}-{-(-(i + 1) * num_timesteps // count) - 1}"
        for i in range(count)
    ]
