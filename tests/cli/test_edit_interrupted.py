"""`edit` and `compose` ended too early: what was finished lies on the disk, whole."""

import json
from unittest.mock import DEFAULT, Mock

import pytest
from fakes import FakeCaption, FakeGlobal, FakeLocal, write_photos
from PIL import Image
from tiny import save_tiny

from composer_pl.cli import main
from composer_pl.composing.batches import sample
from composer_pl.composing.parts import Parts
from composer_pl.composing.record import TEXT

pytestmark = pytest.mark.usefixtures("fake_plugins")

VARIATION = ["edit", "variation", "a.png", "--keep", "sketch", "-n", "5", "--with", "max_batch=2"]
COMPOSE = ["compose", "--from", "a.png", "--keep", "sketch", "-n", "5", "--with", "max_batch=2"]
INTERPOLATION = ["edit", "interpolation", "a.png", "b.png", "--frames", "4"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model and two photos in the working directory."""
    monkeypatch.chdir(tmp_path)
    plugins = {"caption": FakeCaption(), "color": FakeGlobal(), "sketch": FakeLocal()}
    save_tiny("model", plugins)
    write_photos()
    return tmp_path


def run(words, out):
    return main([*words, "--ckpt", "model", "--out", out, "--steps", "2"])


def ended_by(error, *, after):
    """The network, which ends with an error when it was asked for so many batches."""
    return Mock(wraps=sample, side_effect=[DEFAULT] * after + [error])


def pictures(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("0*.png"))}


@pytest.mark.parametrize(
    ("words", "after", "finished", "of"),
    [(VARIATION, 2, 4, 5), (COMPOSE, 1, 2, 5), (INTERPOLATION, 3, 3, 4)],
    ids=["variation", "compose", "interpolation"],
)
def test_ctrl_c_leaves_what_was_drawn(folder, capsys, monkeypatch, words, after, finished, of):
    assert run(words, "whole") == 0
    whole = pictures(folder / "whole")
    assert len(whole) == of
    capsys.readouterr()

    with monkeypatch.context() as patch:
        stop = ended_by(KeyboardInterrupt(), after=after)
        patch.setattr("composer_pl.composing.batches.sample", stop)
        assert run(words, "out") == 130
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"{finished} of {of} pictures are in out, each whole and with its recipe.",
        "Interrupted.",
    ]
    left = pictures(folder / "out")
    assert list(left) == list(whole)[:finished]
    assert all(whole[name] == data for name, data in left.items())
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {*left, "parts.safetensors"}, "no sheet, no film, nothing half"
    assert Parts.load("out/parts.safetensors") == Parts.load("whole/parts.safetensors")

    last = list(left)[-1]
    assert main(["reproduce", f"out/{last}", "--ckpt", "model", "--out", "again.png"]) == 0
    assert (folder / "again.png").read_bytes() == whole[last]


def test_ctrl_c_before_the_first_picture_makes_no_folder(folder, capsys, monkeypatch):
    stop = ended_by(KeyboardInterrupt(), after=0)
    monkeypatch.setattr("composer_pl.composing.batches.sample", stop)
    assert run(VARIATION, "out") == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert not (folder / "out").exists()


def test_a_disk_that_fills_up_leaves_the_pictures_before(folder, capsys, monkeypatch):
    save, saved = Image.Image.save, []

    def filling(picture, path, format, pnginfo):
        saved.append(path)
        save(picture, path, format, pnginfo=pnginfo)
        if len(saved) == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", filling)
    assert run(VARIATION, "out") == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("3 of 5 pictures are in out")
    assert "No space left on device. Next: give another --out" in told[1]
    assert len(told) == 2
    assert list(pictures(folder / "out")) == ["000.png", "001.png", "002.png"]
    assert not list((folder / "out").glob(".*")), "half of the fourth"


def test_pictures_are_numbered_on_within_a_drawing_and_over_drawings(folder):
    def told(number):
        with Image.open(f"out/{number:03d}.png") as picture:
            record = json.loads(picture.info[TEXT])
        return record["picture"], record["of"]

    assert run(VARIATION, "out") == 0
    assert [told(i) for i in range(5)] == [(i, 5) for i in range(5)]
    assert run([*INTERPOLATION, "-n", "2", "--film", "none"], "out") == 0
    assert [told(i) for i in range(8)] == [(i % 2, 2) for i in range(8)]
