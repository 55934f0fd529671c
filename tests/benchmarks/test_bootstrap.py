import math

import torch
from bootstrap import interval, mean_interval, mean_of, resampled_means


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
            draws = resampled_means({"": values}, labels, seed=seed, draws=400)[""]
            _, low, high = interval(draws, mean_of(values))
            covered[name] += low <= 0 <= high
    assert 175 <= covered["clustered"] <= 199
    assert covered["plain"] < 120


def test_undefined_scores_are_left_out():
    values = torch.tensor([1.0, math.nan, 1.0, math.nan])
    assert mean_interval(values) == [1.0, 1.0, 1.0]


def test_arms_of_the_same_pictures_stay_paired():
    values = torch.randn(100)
    draws = resampled_means({"a": values, "b": values + 1})
    torch.testing.assert_close(draws["b"] - draws["a"], torch.ones(2000, dtype=torch.float64))
