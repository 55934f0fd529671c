"""Curves are read, smoothed and judged; a run against itself, a slower, a broken one."""

import math

import numpy as np
import pytest

from composer_pl.errors import UserInputError
from composer_pl.evaluation.curves import Curve, band, judge, read_curve
from composer_pl.evaluation.plots import draw_curves


def falling(steps=400, *, seed=0, slower=1.0, noise=0.02, every=1):
    """An exponential fall from 1 to 0.1 with noise."""
    generator = np.random.default_rng(seed)
    numbers = list(range(every, steps + 1, every))
    losses = [0.1 + 0.9 * math.exp(-s / (80 * slower)) for s in numbers]
    return Curve(numbers, [v + float(generator.normal(0, noise)) for v in losses])


def test_means_look_back_over_a_fifth_of_the_way():
    curve = Curve(range(1, 101), [float(s) for s in range(1, 101)])
    assert curve.mean(100) == pytest.approx(np.mean(range(81, 101)))
    assert curve.mean(3) == 3
    assert math.isnan(curve.mean(0))
    sparse = Curve([10, 20, 100], [1.0, 2.0, 3.0])
    assert sparse.mean(99) == 2.0  # the newest row, where the window holds none


def test_the_band_is_never_narrower_than_a_share_of_the_loss():
    flat = Curve(range(1, 101), [0.5] * 100)
    assert band([flat], 100).width == pytest.approx(0.03 * 0.5)
    noisy = falling(noise=0.2)
    assert band([noisy], 300).width > 0.05


@pytest.mark.parametrize("seed", range(8))
def test_another_seed_of_the_same_run_is_on_track(seed):
    references = [falling(seed=seed + 100), falling(seed=seed + 200)]
    for steps in (60, 200, 400):
        verdict = judge(falling(steps, seed=seed), references)
        assert verdict.state == "on track", verdict.text
        assert verdict.text.startswith(f"on track: at step {steps} the loss is ")


def test_a_slower_run_is_behind_as_the_reference_was():
    verdict = judge(falling(200, seed=1, slower=2), [falling()])
    assert verdict.state == "behind"
    earlier = int(verdict.text.rpartition("at step ")[2])
    assert 80 <= earlier <= 125  # half of the way


def test_a_faster_run_is_ahead():
    assert judge(falling(200, slower=0.5), [falling()]).state == "ahead"


def test_a_first_loss_that_is_no_number_is_told_too():
    run = falling(200)
    broken = Curve([0, *run.steps], [math.nan, *run.losses])
    assert judge(broken, [falling()]).text == "diverged: the loss of step 0 is not a finite number"


def test_the_first_steps_tell_nothing():
    assert judge(falling(30), [falling()]).state == "too early to tell"


def test_a_rising_or_broken_loss_has_diverged():
    run = falling(400)
    rising = Curve(
        run.steps, [v + max(0.0, (s - 200) / 100) for s, v in zip(*_both(run), strict=True)]
    )
    assert judge(rising, [falling()]).state == "diverged"
    broken = Curve(
        run.steps, [math.nan if s == 123 else v for s, v in zip(*_both(run), strict=True)]
    )
    assert judge(broken, [falling()]).text.startswith("diverged: the loss of step 123")


def _both(curve):
    return curve.steps, curve.losses


def test_a_longer_run_is_held_against_the_references_end():
    verdict = judge(falling(600), [falling(400)])
    assert verdict.state == "on track"
    assert "at step 400" in verdict.text
    assert "this run is at step 600" in verdict.text


def test_a_reference_may_have_fewer_rows():
    assert judge(falling(380), [falling(every=20, noise=0.004)]).state == "on track"


def test_a_file_is_read_to_its_last_whole_row(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,rate\n1,0.5,9\n2,0.25,9\n3,")
    curve = read_curve(path)
    assert (list(curve.steps), list(curve.losses)) == ([1, 2], [0.5, 0.25])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, "No such file"),
        ("", "no rows"),
        ("step,loss\n", "no rows"),
        ("a,b\n1,2\n", "no rows"),
        ("step,loss\n1,x\n", "could not convert"),
        ("step,loss\n2,1\n1,1\n", "steps that do not rise"),
    ],
)
def test_what_is_no_curve_is_one_line(tmp_path, text, found):
    path = tmp_path / "metrics.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserInputError, match=found) as caught:
        read_curve(path)
    assert "Next: " in str(caught.value)


def test_the_chart_shows_band_reference_and_run():
    run = falling(200, slower=3)
    picture = np.asarray(draw_curves(run, [falling()], title="t", names=("a", "b")))
    assert picture.shape == (540, 960, 3)
    colours = {tuple(int(v) for v in colour) for colour in picture.reshape(-1, 3)}
    assert {(200, 60, 40), (70, 110, 170), (205, 220, 240)} <= colours
    alone = np.asarray(draw_curves(run, [], title="t", names=("a", "b")))
    assert (70, 110, 170) not in {tuple(int(v) for v in c) for c in alone.reshape(-1, 3)}
