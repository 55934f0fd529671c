"""`composer-pl reproduce`, and the recipe options of `compose`, from the command line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY, UPSAMPLER

from composer_pl.cli import main
from composer_pl.composing.record import read_record
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import ConditionGuidance
from composer_pl.models.storage import load_model, save_model
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig

pytestmark = pytest.mark.usefixtures("fake_plugins")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two base models, an upsampler, a photo and a mask in the working directory."""
    monkeypatch.chdir(tmp_path)
    process = ProcessConfig(prediction="v")
    conditions = {"mean": FakeGlobal(), "grey": FakeLocal()}
    models = {
        "model": ComposerModel(TINY, process, conditions),
        "other": ComposerModel(TINY, process, conditions),
        "larger": UpsamplerModel(UPSAMPLER, process, {}, UpsamplingConfig()),
    }
    for seed, (name, model) in enumerate(models.items()):
        torch.manual_seed(seed)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        save_model(model, name)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.png")
    mask = Image.new("L", (8, 8))
    mask.paste(255, (0, 0, 4, 8))
    mask.save("mask.png")
    return tmp_path


def compose(*arguments):
    fixed = ["--ckpt", "model", "--out", "out", "--steps", "2", "-n", "2", "--from", "a.png"]
    return main(["compose", *fixed, *arguments])


def test_the_same_bytes_come_back_without_photo_and_mask(folder, capsys):
    options = ["--upsampler", "larger", "--with", "conditions.grey.region=mask.png"]
    assert compose(*options, "--against", "mean") == 0
    Path("a.png").unlink()
    Path("mask.png").unlink()
    assert main(["reproduce", "out/001.png", "--out", "again/1.png"]) == 0
    assert "the same bytes" in capsys.readouterr().out
    assert Path("again/1.png").read_bytes() == Path("out/001.png").read_bytes()


def test_recipe_file_options_and_overrides_meet_in_the_record(folder):
    Path("recipe.yaml").write_text("guidance: 5\nrescale: 0.5\nconditions: {grey: 0.5}\n")
    overrides = ["--with", "conditions.grey.end=0.8", "--with", "threshold=0.99"]
    assert compose("--recipe", "recipe.yaml", "--guidance", "2", *overrides) == 0
    recipe = read_record("out/000.png").drawing.recipe
    assert (recipe.guidance, recipe.rescale, recipe.steps, recipe.threshold) == (2, 0.5, 2, 0.99)
    assert recipe.conditions == {"grey": ConditionGuidance(weight=0.5, end=0.8)}


def test_a_model_that_moved_is_named_by_hand_and_another_is_refused(folder, capsys):
    assert compose() == 0
    shutil.move("model", "moved")
    capsys.readouterr()
    assert main(["reproduce", "out/000.png", "--out", "again.png"]) == 2
    assert "model" in capsys.readouterr().err
    assert main(["reproduce", "out/000.png", "--out", "again.png", "--ckpt", "other"]) == 2
    assert "expected the base model with digest" in capsys.readouterr().err
    assert main(["reproduce", "out/000.png", "--out", "again.png", "--ckpt", "moved"]) == 0


def test_show_prints_the_record(folder, capsys):
    assert compose("--seed", "-9") == 0
    assert main(["reproduce", "out/000.png", "--out", "again.png", "--show"]) == 0
    shown = capsys.readouterr().out
    assert '"seed": -9' in shown
    assert "the same bytes" in shown
    assert '"grey"' in shown


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["a.png", "--out", "again.png"], "found one without a recipe"),
        (["absent.png", "--out", "again.png"], "expected a picture"),
        (["out/000.png", "--out", "again.jpg"], "--out must name a PNG file"),
        (["out/000.png", "--out", "out/../out/000.png"], "found --out to be the picture itself"),
        (["out/000.png", "--out", "a.png/again.png"], "a.png is a file"),
        (["out/000.png", "--out", "again.png", "--upsampler", "larger"], "found upsampler too"),
    ],
)
def test_mistakes_are_one_line(folder, capsys, arguments, problem):
    assert compose() == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["reproduce", *arguments]) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert before == {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("raw", [False, True])
def test_raw_weights_are_recorded_and_taken_again(folder, capsys, monkeypatch, raw):
    assert compose(*["--raw-weights"] * raw) == 0
    asked = []

    def load(path, *, averaged):
        asked.append(averaged)
        return load_model(path, averaged=averaged)

    monkeypatch.setattr("composer_pl.composing.composer.load_model", load)
    assert main(["reproduce", "out/000.png", "--out", "again.png"]) == 0
    assert "the same bytes" in capsys.readouterr().out
    assert asked == [not raw]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--with", "conditions.gray=2"], "found 'gray'; did you mean 'grey'?"),
        (["--with", "conditions.caption=2"], "caption"),
        (["--with", "guidence=2"], "did you mean 'guidance'?"),
        (["--with", "conditions.grey.region=absent.png"], "Reading the region"),
        (["--recipe", "absent.yaml"], "Reading a sampling recipe"),
        (["--keep", "mean", "--with", "conditions.grey=2"], "found no part of it"),
    ],
)
def test_mistakes_in_the_recipe_are_one_line(folder, capsys, arguments, problem):
    assert compose(*arguments) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
