"""`composer-pl edit` region, interpolation, reconfiguration and inversion from the command line."""

import sys

import numpy as np
import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal, write_photos
from PIL import Image
from tiny import save_tiny

from composer_pl.cli import main
from composer_pl.composing.record import read_record

pytestmark = pytest.mark.usefixtures("fake_plugins")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, two photos, a mask and a part in the working directory."""
    monkeypatch.chdir(tmp_path)
    plugins = {"caption": FakeCaption(), "color": FakeGlobal(), "sketch": FakeLocal()}
    save_tiny("model", plugins)
    write_photos()
    mask = Image.new("L", (60, 40))
    mask.paste(255, (30, 10, 50, 30))
    mask.save("mask.png")
    Image.new("L", (50, 50), 255).save("other-mask.png")
    return tmp_path


def opened(path):
    """Pixels and number of frames of a picture."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")), getattr(picture, "n_frames", 1)


def edit(task, *arguments):
    return main(["edit", task, *arguments, "--ckpt", "model", "--out", "out", "--steps", "2"])


def test_a_region_comes_back_in_its_photo_and_is_reproduced(folder, capsys):
    arguments = ["--mask", "mask.png", "--keep", "sketch", "--caption", "a bee", "-n", "2"]
    assert edit("region", "a.png", *arguments, "--from", "b.png", "--take", "color") == 0
    assert "2 pictures by region from sketch, color, caption" in capsys.readouterr().out
    photo, picture = (opened(path)[0] for path in ("a.png", "out/000.png"))
    differs = (photo != picture).any(2)
    assert differs[12:28, 32:48].any()
    differs[10:30, 30:50] = False
    assert not differs.any()
    assert read_record("out/001.png").drawing.place == (0, 12, 40)
    assert main(["reproduce", "out/001.png", "--ckpt", "model", "--out", "again.png"]) == 0
    assert (folder / "again.png").read_bytes() == (folder / "out/001.png").read_bytes()


def test_an_interpolation_is_frames_a_strip_and_a_film(folder, capsys):
    assert edit("interpolation", "a.png", "b.png", "--frames", "3", "--keep", "sketch") == 0
    assert "3 pictures by interpolation from sketch, color; strip.png and film.webp" in (
        capsys.readouterr().out
    )
    names = sorted(path.name for path in (folder / "out").glob("*.png"))
    assert names == ["000.png", "001.png", "002.png", "sheet.png", "strip.png"]
    assert opened("out/film.webp")[1] == 4
    assert opened("out/strip.png")[0].shape == (16, 3 * 16 + 2 * 2, 3)


def test_a_film_that_cannot_be_written_is_refused_before_the_work(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "av", None)
    assert edit("interpolation", "a.png", "b.png", "--film", "mp4") == 2
    assert "Next: `pip install 'composer-pl[video]'`" in capsys.readouterr().err
    assert edit("interpolation", "a.png", "b.png", "-n", "80") == 2
    assert "found 23008 x 256: 80 pictures side by side" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_captions_are_blended_when_told(folder):
    words = ["--first-caption", "a bee", "--second-caption", "a bad cafe", "--film", "none"]
    assert (
        edit("interpolation", "a.png", "b.png", "--frames", "3", "--blend", "caption", *words) == 0
    )
    assert not (folder / "out/film.webp").exists()
    middle = read_record("out/001.png").drawing.parts["caption"]
    ends = [read_record(f"out/00{i}.png").drawing.parts["caption"] for i in (0, 2)]
    torch.testing.assert_close(middle, (ends[0] + ends[1]) / 2)


def test_a_picture_is_reconfigured_and_inverted_from_the_command_line(folder):
    assert edit("reconfiguration", "a.png", "--give", "caption=a bee") == 0
    drawing = read_record("out/000.png").drawing
    assert set(drawing.parts) == {"caption", "color", "sketch"}
    assert set(drawing.against) == {"color", "sketch"}
    before = ["--before", "sketch", "--before-caption", "a bee"]
    assert edit("inversion", "a.png", *before, "--after", "color", "--caption", "a cafe") == 0
    drawing = read_record("out/000.png").drawing
    assert set(drawing.parts) == {"color", "caption"}
    assert set(drawing.against) == {"sketch", "caption"}
    assert drawing.noise is not None


@pytest.mark.parametrize(
    ("task", "arguments", "before", "after"),
    [
        ("variation", [], set(), set()),
        ("reconfiguration", ["--give", "caption=a bee"], set(), {"caption"}),
        ("translation", ["a bee"], set(), {"caption"}),
    ],
)
def test_a_task_can_be_told_to_keep_nothing(folder, task, arguments, before, after):
    assert edit(task, "a.png", *arguments, "--keep", "none", "-n", "1") == 0
    drawing = read_record("out/000.png").drawing
    assert (set(drawing.against), set(drawing.parts)) == (before, after)


def test_nothing_of_what_a_picture_was_walked_back_under_need_stay(folder):
    before = ["--before", "sketch", "--before-caption", "a bee"]
    assert edit("inversion", "a.png", *before, "--after", "none", "--caption", "") == 0
    drawing = read_record("out/000.png").drawing
    assert (set(drawing.against), set(drawing.parts)) == ({"sketch", "caption"}, set())


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("region", ["a.png", "--mask", "other-mask.png"], "60 x 40 pixels, found 50 x 50"),
        ("region", ["a.png", "--mask", "none.png"], "none.png"),
        ("region", ["a.png", "--mask", "mask.png", "--take", "color"], "--take needs a picture"),
        ("interpolation", ["a.png", "b.png", "--frames", "0"], "2 to 1000 frames"),
        ("interpolation", ["a.png", "b.png", "--seconds", "0"], "seconds a frame"),
        ("inversion", ["a.png", "--before", "depth"], "'depth'"),
        ("reconfiguration", ["a.png", "--give", "color"], "expected NAME=VALUE"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(folder, capsys, task, arguments, message):
    assert edit(task, *arguments) == 2
    assert not (folder / "out").exists()
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in told
    assert "Next:" in told
