"""Intervals as measurements."""

from math import nan

from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.stated import stated

FOUND = {
    "plain": Interval(0.5, 0.25, 0.75),
    "a ratio that its resamples miss": Interval(2.0, 0.5, 1.5),
    "undefined": Interval(nan, nan, nan),
}


def state(groups):
    return stated(
        FOUND, protocol="p", over="over pictures", count=6, groups=groups, settings={"model": "m"}
    )


def test_what_is_defined_becomes_a_measurement():
    plain, ratio = state(groups=3)
    assert (plain.measure, plain.value, plain.low, plain.high) == ("plain", 0.5, 0.25, 0.75)
    assert (ratio.value, ratio.low, ratio.high) == (2.0, 0.5, 2.0)
    assert (plain.count, plain.interval, plain.settings) == (6, "over pictures", {"model": "m"})


def test_a_single_group_has_no_interval():
    plain, _ = state(groups=1)
    assert plain.low is None
    assert plain.high is None
    assert plain.interval.startswith("none")
