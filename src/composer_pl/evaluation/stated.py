"""Intervals as measurements."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement


def stated(
    found: Mapping[str, Interval],
    *,
    protocol: str,
    over: str,
    count: int,
    groups: int,
    settings: Mapping[str, Any],
) -> list[Measurement]:
    """One measurement for every number that is defined.

    The ends of an interval are drawn out to its number where resamples of a ratio miss it. Of a
    single group there is no interval: nothing was resampled.

    Args:
        found: Measure -> its number.
        protocol: What was carried out.
        over: What intervals run over.
        count: Pictures that the numbers are of.
        groups: How many groups of pictures were resampled.
        settings: What made them, see `Measurement`.
    """
    told = groups > 1
    return [
        Measurement(
            protocol=protocol,
            measure=measure,
            value=interval.value,
            low=min(interval.low, interval.value) if told else None,
            high=max(interval.high, interval.value) if told else None,
            interval=over if told else "none: a single group of pictures",
            count=count,
            of_protocol=True,
            settings=settings,
        )
        for measure, interval in found.items()
        if all(isfinite(end) for end in (interval.value, interval.low, interval.high))
    ]
