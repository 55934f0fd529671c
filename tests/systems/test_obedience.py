"""Claims about a condition need evidence: noise alone never makes one."""

import pytest
import torch

from composer_pl.systems.obedience import Mean, Track, mean_of, student


def tracked(ways, *, pictures=16, noise=0.1, seed=0, patience=3, length=0.5):
    """Enter probes whose true ways are given; return the track and what was said when."""
    generator = torch.Generator().manual_seed(seed)
    track, told = Track(length), []
    for number, way in enumerate(ways, start=1):
        gains = length * (way + noise * torch.randn(pictures, generator=generator))
        track.add(100 * number, gains)
        word, text = track.verdict(patience)
        if word:
            told.append((number, word, text))
    return track, told


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (15, 2.1314), (31, 2.0395), (1e6, 1.96)],
)
def test_quantiles_are_those_of_students_tables(freedom, expected):
    assert student(int(freedom)) == pytest.approx(expected, rel=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = torch.Generator().manual_seed(0)
    means = [mean_of(torch.randn(8, generator=generator)) for _ in range(1000)]
    assert 930 <= sum(mean.low <= 0 <= mean.high for mean in means) <= 970


def test_undefined_numbers_are_left_out_and_few_say_nothing():
    nan = float("nan")
    assert mean_of(torch.tensor([1.0, nan, 3.0])).value == 2.0
    assert mean_of(torch.tensor([1.0, nan])) == Mean(1.0, -float("inf"), float("inf"))
    assert mean_of(torch.tensor([nan])).value == 0.0


def test_an_ignored_condition_is_told_after_three_probes_and_once():
    _, told = tracked([0.0] * 10)
    assert [(number, word) for number, word, _ in told] == [(3, "ignored")]
    assert "last 3 probes" in told[0][2]


def test_an_obeyed_condition_is_never_told_to_be_ignored():
    for way in (0.15, 0.3, 0.9):
        assert not any(tracked([way] * 12, seed=seed)[1] for seed in range(20)), way


def test_too_few_pictures_or_too_much_noise_make_no_claim():
    for seed in range(20):
        assert tracked([0.3] * 6, pictures=4, noise=0.6, seed=seed)[1] == []
        assert tracked([0.0] * 6, noise=2.0, seed=seed)[1] == []


def test_a_condition_that_is_learned_late_is_taken_back():
    _, told = tracked([0.0] * 4 + [0.5] * 6)
    assert [(number, word) for number, word, _ in told] == [(3, "ignored"), (7, "obeyed")]


def test_a_forgotten_condition_is_told_with_what_it_had():
    _, told = tracked([0.1, 0.4, 0.8, 0.8, 0.8, 0.6, 0.3, 0.1, 0.1, 0.1, 0.1])
    assert [word for _, word, _ in told] == ["forgotten"]
    assert told[0][0] == 8
    assert "around step 400" in told[0][2]
    assert "it had gone 81%" in told[0][2]


def test_a_small_fall_or_one_bad_probe_is_not_forgetting():
    assert tracked([0.8] * 5 + [0.6] * 8)[1] == []
    assert tracked([0.8] * 5 + [0.0] + [0.8] * 5)[1] == []


def test_a_condition_once_obeyed_is_forgotten_and_not_ignored():
    _, told = tracked([0.8] * 4 + [0.0] * 6)
    assert [word for _, word, _ in told] == ["forgotten"]


def test_a_history_goes_on_from_its_data():
    whole, told = tracked([0.0] * 6)
    half, _ = tracked([0.0] * 4)
    again = Track.from_dict(half.to_dict())
    for step, gains in zip(whole.steps[4:], whole.gains[4:], strict=True):
        again.add(step, gains)
        assert again.verdict(3) == ("", "")
    assert told
    assert again.said == {"ignored"}
    assert again.steps == whole.steps
    assert all(torch.equal(a, b) for a, b in zip(again.gains, whole.gains, strict=True))
    assert Track.from_dict(Track(0.5).to_dict()) == Track(0.5)
