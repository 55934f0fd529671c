"""`decompose` and `compose` from the command line, and what they answer to mistakes."""

import re
import time

import pytest
import torch
from fakes import FakeGlobal, FakeLocal, write_photos
from PIL import Image
from tiny import save_tiny

from composer_pl.cli import main
from composer_pl.cli.decompose import folder_names
from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.parts import Parts
from composer_pl.errors import MissingWeightsError

pytestmark = pytest.mark.usefixtures("fake_plugins")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, two photos and a text file in the working directory."""
    monkeypatch.chdir(tmp_path)
    save_tiny("model", {"mean": FakeGlobal(), "grey": FakeLocal()})
    write_photos()
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def compose(*arguments):
    return main(["compose", "--ckpt", "model", "--out", "out", "--steps", "2", *arguments])


def test_parts_of_two_photos_are_composed(folder, capsys):
    code = compose(
        "--from", "a.png", "--keep", "grey", "--from", "b.png", "--keep", "mean", "-n", "2"
    )
    assert code == 0
    assert "2 pictures from grey, mean" in capsys.readouterr().out
    with Image.open("out/001.png") as picture:
        assert picture.size == (16, 16)
    kept = Parts.load("out/parts.safetensors")
    assert kept.notes == {"grey": "a.png", "mean": "b.png"}
    torch.testing.assert_close(kept["mean"], torch.tensor([1.0, -1.0, -1.0]))


def test_nothing_of_a_photo_is_kept_when_told(folder, capsys):
    assert compose("--from", "a.png", "--keep", "none", "-n", "1") == 0
    assert "1 pictures from nothing" in capsys.readouterr().out
    assert Parts.load("out/parts.safetensors") == Parts({})


def test_decomposed_parts_are_composed_again(folder):
    assert main(["decompose", "a.png", "b.png", "--out", "parts", "--ckpt", "model"]) == 0
    assert (folder / "parts" / "b" / "sheet.png").exists()
    assert compose("--from", "parts/a/parts.safetensors", "--keep", "grey", "-n", "1") == 0
    direct = (folder / "out" / "000.png").read_bytes()
    assert compose("--from", "a.png", "--keep", "grey", "-n", "1") == 0
    assert (folder / "out" / "000.png").read_bytes() == direct


def test_a_broken_photo_does_not_stop_the_others(folder, capsys):
    code = main(["decompose", "notes.txt", "b.png", "--out", "parts", "--ckpt", "model"])
    assert code == 2
    assert "notes.txt" in capsys.readouterr().err
    assert (folder / "parts" / "b" / "sheet.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "a.png", "--keep", "gray"], "did you mean 'grey'"),
        (["--keep", "grey"], "must follow its own --from"),
        (["--from", "absent.png", "--keep", "grey"], "absent.png"),
        (["--from", "notes.txt", "--keep", "grey"], "notes.txt"),
        (["--give", "mean"], "expected NAME=VALUE"),
        (["--give", "meen=3"], "did you mean 'mean'"),
        (["--size", "big"], "such as 64x96"),
        (["--size", "15x16"], "multiples of"),
        (["--size", "²x16"], "such as 64x96"),
        (["-n", "0"], "n must be at least 1"),
        (["-n", "1000000000"], "at most 10000"),
        (["--from", "a.png", "--keep", ","], "or none alone for no part, found no name"),
        (["--from", "a.png", "--keep", "none,grey"], "found none and grey"),
        (["--from", "a.png", "--keep", "depth"], "use a model that was trained with it"),
        (["--from", "a.png", "--keep", "mean", "--against", "meen"], "did you mean 'mean'"),
        (["--against-give", "mean"], "expected NAME=VALUE"),
        (["--guidance", "nan"], "guidance must be a number in -1000..1000, found nan"),
        (["--guidance=-1e9"], "found -1000000000.0"),
        (["--with", "conditions.grey=-1e9", "--from", "a.png"], "weight of a condition"),
        (["--with", "conditions.grey=.inf", "--from", "a.png"], "found inf"),
        (["--seed", "12345678901234567890123"], "--seed: expected a whole number from -9223372036"),
        (["--seed", "one"], "found 'one'"),
        (["--eta", "5", "--sampler", "ddim"], "eta must be in 0..1"),
        (["--device", "gpu"], "Choosing the device"),
        (["--set", "grey"], "expected NAME.ARG=VALUE"),
        (["--set", "gray.drop_prob=1"], "did you mean 'grey'"),
        (["--set", "grey.drop=1"], "did you mean 'drop_prob'"),
        (["--set", "mean.tokens=four"], "tokens must be int"),
        (["--set", "mean.tokens=[1"], "expected a plain value"),
        (["--set", "mean.tokens=!!python/name:os.system"], "expected a plain value"),
        (["--out", "notes.txt"], "notes.txt is a file"),
        (["--out", "notes.txt/deeper"], "notes.txt is a file"),
        (["--steps", "0"], "steps must be in 1..1000"),
        (["--caption", "a text"], "'caption'"),
        (["--sampler", "dimm"], "ddim"),
        (["--guidence", "3"], "--guidance"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(folder, capsys, arguments, message):
    try:
        code = compose(*arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert not any("Traceback" in line for line in lines)


def test_without_a_terminal_steps_are_told_in_plain_lines(folder, capsys, monkeypatch):
    monkeypatch.setattr("composer_pl.cli.telling.EVERY", 0.001)
    assert compose("-n", "1", "--steps", "20") == 0
    told = capsys.readouterr().err
    assert re.search(r"^step \d+/20, \d+ s$", told, flags=re.MULTILINE)
    assert "\r" not in told


def test_decomposing_is_told_while_it_takes_its_time(folder, capsys, monkeypatch):
    whole = Decomposer.decompose_available

    def slow(self, picture, *, caption="", seed=0, names=None):
        end, told = time.monotonic() + 60, ""
        while "Taking" not in told and time.monotonic() < end:
            time.sleep(0.01)
            told += capsys.readouterr().err
        heard.append(told)
        return whole(self, picture, caption=caption, seed=seed, names=names)

    heard = []
    monkeypatch.setattr("composer_pl.cli.telling.EVERY", 0.02)
    monkeypatch.setattr(Decomposer, "decompose_available", slow)
    assert main(["decompose", "a.png", "--out", "p", "--ckpt", "model"]) == 0
    assert "Taking a.png apart: 0 s\n" in heard[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--conditions", "gray"], "did you mean 'grey'"),
        (["--canvas", "0"], "canvas must be in 8"),
        (["--canvas", "1000000"], "canvas must be in 8"),
        (["--value-size", "64"], "leave one of the two out"),
        (["--set", "grey.drop=1"], "did you mean 'drop_prob'"),
        (["--device", "cuda:99"], "Choosing the device"),
        (["--out", "notes.txt"], "notes.txt is a file"),
    ],
)
def test_mistakes_of_decompose_are_one_line_too(folder, capsys, arguments, message):
    assert main(["decompose", "a.png", "--out", "p", "--ckpt", "model", *arguments]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.count("\n") == 1
    assert not (folder / "p").exists()


def test_photos_of_one_name_get_folders_of_their_own():
    photos = ["a/x.jpg", "b/x.jpg", "x-2.png", "c/x.png", "y.png"]
    assert folder_names(photos) == ["x", "x-3", "x-2", "x-4", "y"]


def test_a_disk_that_refuses_is_one_line(folder, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert compose("-n", "1") == 2
    assert "No space left on device. Next: give another --out" in capsys.readouterr().err


def test_a_photo_without_keep_gives_what_can_be_extracted(folder, capsys, monkeypatch):
    def none(self):
        raise MissingWeightsError("no weights of grey")

    monkeypatch.setattr(FakeLocal, "build_extractor", none)
    assert compose("--from", "a.png", "-n", "1") == 0
    told = capsys.readouterr()
    assert "1 pictures from mean" in told.out
    assert "grey of a.png is left out: no weights of grey" in told.err
    assert compose("--from", "a.png", "--keep", "grey", "-n", "1") == 2


def test_the_sheet_of_many_pictures_shows_the_first(folder, monkeypatch):
    import composer_pl.cli.compose as command

    monkeypatch.setattr(command, "MOST_ON_SHEET", 2)
    assert compose("-n", "3") == 0
    assert (folder / "out" / "002.png").exists()
    with Image.open("out/sheet.png") as sheet:
        assert sheet.width < 3 * 192


def test_a_model_that_is_none_is_said(folder, capsys):
    assert main(["compose", "--ckpt", "b.png", "--out", "out"]) == 2
    assert "expected a checkpoint" in capsys.readouterr().err
