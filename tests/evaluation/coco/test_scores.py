"""Numbers of a run: closed forms of their intervals, and manifests that say what made them."""

import json
from statistics import stdev

import pytest
import torch
from coco_fakes import FakeClip, begun, write_root

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.scores import (
    ONE_CAPTION,
    ONE_SEED,
    OVER_SEEDS,
    WHOLE_SETS,
    moments_of,
    score,
    seeds_interval,
)
from composer_pl.evaluation.coco.settings import MOST_REPEATS
from composer_pl.evaluation.measurement import differences
from composer_pl.evaluation.metrics.kid import OVER_SUBSETS, subset_size


def scored(settings, scorers=None):
    run = begun(settings, scorers)
    run.work()
    return score(run)


def test_the_interval_over_seeds_is_students():
    values = [9.1, 9.4, 8.8, 9.3]
    mean, low, high = seeds_interval(values)
    half = 3.182446 * stdev(values) / 2  # the 97.5 % point of t with 3 degrees of freedom
    assert mean == pytest.approx(9.15)
    assert (low, high) == pytest.approx((9.15 - half, 9.15 + half), rel=1e-4)
    assert seeds_interval([9.0]) == (9.0, None, None)


@pytest.mark.parametrize("seeds", range(2, MOST_REPEATS + 1))
def test_students_t_is_scipys_for_every_number_of_seeds(seeds):
    from scipy.stats import t

    values = [0.0] * (seeds - 1) + [1.0]
    _, low, high = seeds_interval(values)
    half = t.ppf(0.975, seeds - 1) * stdev(values) / seeds**0.5
    assert (high - low) / 2 == pytest.approx(half, rel=5e-4)


def test_subsets_have_few_sizes():
    assert subset_size(1000, 30_000) == 1000
    assert subset_size(1000, 2000) == 1000
    assert [subset_size(1000, count) for count in (1999, 400, 399, 3)] == [500, 200, 100, 2]
    assert subset_size(50, 60) == 20


def test_subsets_share_at_most_half_of_their_pictures():
    """Of 1,000 pictures, subsets of 1,000 are all one, and their spread would be none."""
    assert all(subset_size(1000, count) <= count / 2 for count in range(4, 3000))


def test_moments_do_not_depend_on_how_rows_are_gathered():
    features = torch.randn(10_000, 3)
    moments = moments_of(features)
    assert moments.count == 10_000
    assert torch.allclose(moments.mean, features.double().mean(0))
    assert torch.allclose(moments.covariance, features.double().T.cov())


def test_every_measure_is_there_with_its_interval(settings):
    found = {one.measure: one for one in scored(settings())}
    assert set(found) == {
        "FID, tiny", "KID, tiny", "precision, tiny", "recall, tiny", "CLIP score, ViT-B/32",
    }  # fmt: skip
    fid, kid, clip = (found[n] for n in ("FID, tiny", "KID, tiny", "CLIP score, ViT-B/32"))
    assert (fid.low, fid.interval) == (None, ONE_SEED)
    assert kid.low is not None
    assert kid.interval == OVER_SUBSETS
    assert kid.low < kid.value < kid.high
    assert clip.low is not None
    assert clip.low < clip.value < clip.high
    assert {one.count for one in found.values()} == {10}
    assert not any(one.of_protocol for one in found.values())


def test_whole_sets_say_nothing_of_their_spread(settings, place):
    write_root(place / "two", 2)
    found = {one.measure: one for one in scored(settings(root=str(place / "two")))}
    assert (found["KID, tiny"].low, found["KID, tiny"].interval) == (None, WHOLE_SETS)


class Constant(FakeClip):
    value = 1 / 3

    def __call__(self, pictures, captions):
        return torch.full((len(captions), 1), self.value)


@pytest.mark.parametrize("count", [1, 7, 10])
def test_equal_cosines_have_an_interval_of_no_width(settings, count):
    """Whatever rounding makes of their means; a single caption has none."""
    (one,) = scored(settings(captions=count), [Constant()])
    assert one.value == pytest.approx(1 / 3)
    if count == 1:
        assert (one.low, one.interval) == (None, ONE_CAPTION)
    else:
        assert one.low == pytest.approx(1 / 3)
        assert one.high == pytest.approx(1 / 3)


def test_cosines_that_are_no_numbers_are_refused(settings, monkeypatch):
    monkeypatch.setattr(Constant, "value", float("nan"))
    with pytest.raises(UserInputError, match=r"CLIP score of ViT-B/32: .* found 10"):
        scored(settings(), [Constant()])


def test_fid_has_an_interval_over_generation_seeds(settings):
    several = {one.measure: one for one in scored(settings(repeats=2))}
    assert several["FID, tiny"].interval == OVER_SEEDS
    assert several["FID, tiny"].low is not None
    assert several["FID, tiny"].settings["generation_seeds"] == [0, 1]
    assert several["KID, tiny"].interval == OVER_SEEDS
    singles = [
        next(one.value for one in scored(settings(seed=seed, out=settings().out + str(seed)))
             if one.measure == "FID, tiny")
        for seed in range(2)
    ]  # fmt: skip
    assert several["FID, tiny"].value == pytest.approx(sum(singles) / 2)


def test_the_manifest_holds_all_that_made_the_number(settings, place):
    one = scored(settings())[0]
    told = one.settings
    assert len(told["model"]["base"]) == len(told["captions"]["sha256"]) == 64
    assert told["recipe"]["sampler"] == "dpmpp_2m"
    assert (told["recipe"]["steps"], told["recipe"]["guidance"]) == (2, 3.0)
    assert told["features"] == {"name": "tiny", "digest": "0" * 64, "resize": "none"}
    assert told["reference"]["pictures"] == 10
    assert told["conditions"] == "caption only"
    assert set(told["versions"]) == {"composer-pl", "composer-pl-fakes", "torch", "pillow"}
    assert told["departures"]
    assert str(place) not in json.dumps(told)  # no path of a machine


def test_runs_that_differ_in_drawing_alone_can_be_told_apart(settings):
    one, same, other = (
        scored(settings(out=settings().out + str(number), **change))[0]
        for number, change in enumerate([{}, {"keep": "features"}, {"guidances": (2.0,)}])
    )
    assert differences(one, same) == []
    assert one == same
    assert differences(one, other) == ["recipe.guidance: 3.0 against 2.0"]
