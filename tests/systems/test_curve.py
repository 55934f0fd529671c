"""`metrics.csv` is that of an uninterrupted run, whatever happened in between."""

import pytest
from tiny_training import train

from composer_pl.systems.curve import HEADER, LossCurve, _truncate


def curve(run):
    return (run / "metrics.csv").read_text()


def test_a_row_is_the_mean_loss_of_a_step(fake_plugins, pictures, tmp_path):
    losses, _ = train(pictures, tmp_path / "run", accumulate=2, more=(LossCurve(),))
    rows = [line.split(",") for line in curve(tmp_path / "run").splitlines()]
    assert rows[0] == ["step", "loss"]
    assert [int(step) for step, _ in rows[1:]] == list(range(1, 13))
    # Lightning's outputs are shares of the step's mean.
    wanted = [sum(losses[i : i + 2]) for i in range(0, 24, 2)]
    assert [float(loss) for _, loss in rows[1:]] == pytest.approx(wanted, rel=1e-6)


def test_an_interrupted_run_has_the_curve_of_the_whole_one(fake_plugins, pictures, tmp_path):
    options = {"every": 3, "log_every_n_steps": 2}
    train(pictures, tmp_path / "whole", more=(LossCurve(),), **options)
    train(pictures, tmp_path / "parts", crash_before=17, more=(LossCurve(),), **options)
    assert curve(tmp_path / "parts").count("\n") == 9  # of step 7 and 8 nothing is saved
    ckpt = tmp_path / "parts" / "checkpoints" / "step-00000006.ckpt"
    train(pictures, tmp_path / "parts", ckpt_path=ckpt, more=(LossCurve(),), **options)
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")


def test_half_written_rows_and_those_to_be_repeated_go(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(f"{HEADER}\n1,0.5\n2,0.25\n3,0.1\n4,0.")
    _truncate(path, 4)
    assert path.read_text() == f"{HEADER}\n1,0.5\n2,0.25\n3,0.1\n"
    _truncate(path, 2)
    assert path.read_text() == f"{HEADER}\n1,0.5\n2,0.25\n"
    _truncate(path, 0)  # a new run
    assert path.read_text() == f"{HEADER}\n"
