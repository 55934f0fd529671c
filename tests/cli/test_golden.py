"""`golden`: mistakes in one line, settings that differ, and a run beside its reference."""

import math
import shutil

import pytest
import yaml
from PIL import Image

from composer_pl.cli import main
from composer_pl.evaluation import golden

CONFIG = {
    "seed_everything": 1,
    "ckpt_path": "auto",
    "model": {"backbone": {"channels": 32, "channel_mult": [1, 2]}, "seed": 1},
    "data": {"batch_size": 32, "num_workers": 1},
    "trainer": {"max_steps": 400, "default_root_dir": "runs/quickstart"},
}


def write_curve(path, steps=400, speed=1.0):
    rows = [
        f"{s},{0.1 + 0.9 * math.exp(-s * speed / 80) + 0.01 * (-1) ** s}\n"
        for s in range(1, steps + 1)
    ]
    path.write_text("step,loss\n" + "".join(rows))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder beside the shipped reference `tiny`."""
    shipped = tmp_path / "golden"
    (shipped / "tiny").mkdir(parents=True)
    write_curve(shipped / "tiny" / "curve.csv")
    (shipped / "tiny" / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (shipped / "tiny" / "README.md").write_text("# A tiny run\n\nMore.\n")
    Image.new("RGB", (40, 20), "red").save(shipped / "tiny" / "grid-00000400.png")
    monkeypatch.setattr(golden, "FOLDER", shipped)
    folder = tmp_path / "run"
    (folder / "samples").mkdir(parents=True)
    write_curve(folder / "metrics.csv", 200)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    Image.new("RGB", (50, 30), "blue").save(folder / "samples" / "step-00000200.png")
    return folder


def compare(run, *more):
    return main(["golden", "compare", str(run), "--reference", "tiny", *more])


def test_a_run_on_track(run, capsys):
    assert compare(run) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("on track: at step 200 the loss is 0.")
    assert told[1].startswith("Drawn: ")
    for name, size in (("curve", (960, 540)), ("grids", (50, 30 + 24 + 20 + 24))):
        with Image.open(run / "golden" / f"{name}.png") as picture:
            assert picture.size == size


def test_a_run_behind_has_exit_code_1(run, capsys, tmp_path):
    write_curve(run / "metrics.csv", 200, speed=0.5)
    shutil.rmtree(run / "samples")
    assert compare(run, "--out", str(tmp_path / "here")) == 1
    assert capsys.readouterr().out.startswith("behind: at step 200 ")
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["curve.png"]


def test_other_settings_are_named_and_free_ones_are_not(run, capsys):
    other = yaml.safe_load((run / "config.yaml").read_text())
    other["seed_everything"] = other["model"]["seed"] = 9
    other["trainer"]["max_steps"] = 9
    other["data"]["num_workers"] = 0
    (run / "config.yaml").write_text(yaml.safe_dump(other))
    assert compare(run) == 0
    assert "differs" not in capsys.readouterr().out
    other["data"]["batch_size"] = 8
    other["model"]["backbone"]["channel_mult"] = [1, 2, 3]
    (run / "config.yaml").write_text(yaml.safe_dump(other))
    assert compare(run) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "differs: data.batch_size is 8, in the reference 32"
    assert told[1].startswith("differs: model.backbone.channel_mult.2 is 3, in the reference absen")
    assert any(line.startswith("Other settings than the reference's") for line in told)
    (run / "config.yaml").unlink()
    assert compare(run) == 0
    assert capsys.readouterr().out.startswith("Settings not compared")


def test_the_list_says_what_there_is(run, capsys):
    assert main(["golden", "list"]) == 0
    assert capsys.readouterr().out.startswith("tiny: A tiny run (1 curve to step 400, 1 grids) ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["golden", "compare", "nowhere", "--reference", "tiny"], "no such folder"),
        (["golden", "compare", ".", "--reference", "tiny"], "a folder without it"),
        (["golden", "compare", ".", "--reference", "tny"], "did you mean 'tiny'?"),
        (["golden", "compare"], "RUN"),
        (["golden"], "ACTION"),
    ],
)
def test_mistakes_are_one_line(run, capsys, words, expected):
    assert main(words) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
    assert "Next: " in told


def one_line(capsys):
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "Next: " in told.err
    return told.err


def test_the_curve_itself_is_answered_with_its_folder(run, capsys):
    assert compare(run / "metrics.csv") == 2
    told = one_line(capsys)
    assert "found a file" in told
    assert f"such as {run}." in told


@pytest.mark.parametrize("content", [b"no picture", "cut"])
def test_a_damaged_preview_is_named_and_nothing_is_written(run, capsys, content):
    path = run / "samples" / "step-00000200.png"
    path.write_bytes(path.read_bytes()[:60] if content == "cut" else content)
    assert compare(run) == 2
    assert f"Reading the preview {str(path)!r}" in one_line(capsys)
    assert not (run / "golden").exists()


@pytest.mark.parametrize("loss", [0.0, -0.1])
def test_a_loss_of_zero_or_below_is_no_training(run, capsys, loss):
    (run / "metrics.csv").write_text(
        "step,loss\n" + "".join(f"{step},{loss}\n" for step in range(1, 201))
    )
    assert compare(run) == 2
    assert f"above zero, as every training has, found {loss:g} at step 1." in one_line(capsys)
