"""Intervals cover what they should, stay paired, and a way is what its definition says."""

import math

import pytest
import torch

from composer_pl.evaluation import intervals
from composer_pl.evaluation.intervals import (
    Interval,
    interval_of,
    mean_interval,
    mean_of,
    resampled_means,
    way_interval,
)


def _clustered(seed):
    generator = torch.Generator().manual_seed(seed)
    effects = torch.randn(24, 1, generator=generator)
    noise = torch.randn(24, 12, generator=generator)
    return (effects + 0.5 * noise).flatten()


def test_clustered_intervals_cover_the_truth_and_plain_ones_do_not():
    clusters = torch.arange(24).repeat_interleave(12)
    covered = {"clustered": 0, "plain": 0}
    for seed in range(200):
        values = _clustered(seed)
        for name, labels in (("clustered", clusters), ("plain", None)):
            draws = resampled_means({"": values}, labels, seed=seed, resamples=400)[""]
            covered[name] += 0.0 in interval_of(draws, mean_of(values))
    assert 175 <= covered["clustered"] <= 199
    assert covered["plain"] < 120


def test_many_pictures_are_resampled_in_parts_with_the_same_draws(monkeypatch):
    values = {"a": torch.randn(50), "b": torch.full((50,), math.nan)}
    values["b"][:3] = torch.tensor([1.0, 2.0, 3.0])
    whole = resampled_means(values, resamples=101)
    monkeypatch.setattr(intervals, "_AT_ONCE", 7 * 50)
    for name, draws in resampled_means(values, resamples=101).items():
        assert len(draws) == 101
        torch.testing.assert_close(draws, whole[name], equal_nan=True, rtol=1e-12, atol=1e-12)


def test_undefined_scores_are_left_out():
    assert mean_interval(torch.tensor([1.0, math.nan, 1.0, math.nan])) == Interval(1.0, 1.0, 1.0)
    nothing = mean_interval(torch.tensor([math.nan, math.nan]))
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)
    assert math.isnan(mean_interval(torch.zeros(0)).value)


def test_arms_of_the_same_pictures_stay_paired():
    values = torch.randn(100)
    draws = resampled_means({"a": values, "b": values + 1})
    torch.testing.assert_close(draws["b"] - draws["a"], torch.ones(2000, dtype=torch.float64))


def test_the_interval_of_a_mean_is_about_twice_its_error():
    values = torch.randn(400, generator=torch.Generator().manual_seed(1))
    found = mean_interval(values)
    assert found.value == pytest.approx(float(values.mean()), abs=1e-6)
    half = 1.96 * float(values.std()) / 20
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_a_way_is_the_share_of_the_way():
    generator = torch.Generator().manual_seed(0)
    floor = 0.2 + 0.05 * torch.randn(300, generator=generator)
    ceiling = floor + 0.6  # the difference is exact, so every resample says the same
    alone = floor + 0.45
    found = way_interval(alone, floor, ceiling)
    assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75), abs=1e-6)
    assert way_interval(floor, floor, ceiling).value == 0
    assert way_interval(ceiling, floor, ceiling).value == 1


def test_a_way_without_length_is_undefined_and_another_floor_is_taken():
    score = torch.rand(20)
    assert math.isnan(way_interval(score, score, score).value)
    assert math.isnan(way_interval(score, score, score).low)
    found = way_interval(score + 0.3, score, score + 1, own_floor=score + 0.3)
    assert found.value == pytest.approx(0, abs=1e-6)
    assert 0.0 in Interval(found.value, found.low - 1e-6, found.high + 1e-6)
