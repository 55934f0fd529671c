"""Where a run begins, and what is said at its end."""

import signal
from pathlib import Path

import pytest

from composer_pl.cli.resuming import checkpoint_of, finished, how_to_go_on
from composer_pl.errors import CheckpointError, UserInputError


def test_auto_begins_anew_where_there_is_nothing(tmp_path):
    assert checkpoint_of("fit", "auto", tmp_path / "run") is None


def test_auto_refuses_damaged_checkpoints_alone(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000004.ckpt").write_text("damaged")
    with pytest.raises(CheckpointError, match="1 damaged"):
        checkpoint_of("fit", "auto", tmp_path)


@pytest.mark.parametrize("given", ["auto", "last"])
def test_an_evaluation_needs_one(tmp_path, given):
    with pytest.raises(CheckpointError, match="found none"):
        checkpoint_of("validate", given, tmp_path)
    with pytest.raises(UserInputError, match="--ckpt_path last"):
        checkpoint_of("validate", None, tmp_path)


def test_a_finished_run_says_so():
    path = "runs/a/checkpoints/step-00000040.ckpt"
    told = finished("auto", path, 40, Path("runs/a"))
    assert "step 40 of 40" in told
    assert f"--ckpt {path}" in told
    assert finished("auto", path, 41, Path("runs/a")) == ""
    assert finished("auto", path, -1, Path("runs/a")) == ""
    assert finished("auto", None, 40, Path("runs/a")) == ""
    assert finished(path, path, 40, Path("runs/a")) == ""


def test_the_command_to_go_on_with_is_the_one_that_was_typed():
    argv = ["--config", "my runs.yaml"]
    told = how_to_go_on(signal.SIGINT, 7, 40, argv, True)
    assert told == (
        "Stopped by Ctrl-C and saved at step 7 of 40. "
        "To go on: composer-pl fit --config 'my runs.yaml'"
    )


@pytest.mark.parametrize("more", [[], ["--ckpt_path", "x.ckpt"], ["--ckpt_path=x.ckpt"]])
def test_without_auto_the_command_names_the_newest_checkpoint(more):
    told = how_to_go_on(signal.SIGTERM, 7, -1, ["--config", "a.yaml", *more], False)
    assert told.startswith("Stopped by SIGTERM and saved at step 7. ")
    assert told.endswith("composer-pl fit --config a.yaml --ckpt_path last")
