"""`decompose` and `compose` from the command line, and what they answer to mistakes."""

import numpy as np
import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY

from composer_pl.cli import main
from composer_pl.composing.composer import Composer
from composer_pl.composing.parts import Parts
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel

pytestmark = pytest.mark.usefixtures("fake_plugins")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model, two photos and a text file in the working directory."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    conditions = {"mean": FakeGlobal(), "grey": FakeLocal()}
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), conditions)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    Composer(model).save_pretrained("model")
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.png")
    Image.new("RGB", (50, 50), "red").save("b.png")
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
        (["-n", "0"], "n must be at least 1"),
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


def test_a_model_that_is_none_is_said(folder, capsys):
    assert main(["compose", "--ckpt", "b.png", "--out", "out"]) == 2
    assert "expected a checkpoint" in capsys.readouterr().err


def test_coco_fid_says_what_it_needs_and_what_is_there(folder, capsys):
    captions = folder / "coco" / "annotations" / "captions_val2014.json"
    captions.parent.mkdir(parents=True)
    captions.write_text("{}")
    assert main(["eval", "coco-fid", "--data.root", "coco", "--ckpt", "absent"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told[1:6]] == ["missing", "found", *["missing"] * 3]
    assert "captions_val2014.json" in told[2]
