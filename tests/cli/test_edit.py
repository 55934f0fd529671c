"""`composer-pl edit TASK`: each task from the command line, and what it answers to mistakes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeCaption, FakeGlobal, FakeLocal, write_photos
from PIL import Image
from tiny import UPSAMPLER, filled, save_tiny

from composer_pl.cli import main
from composer_pl.cli.edit import TASKS
from composer_pl.composing.parts import Parts
from composer_pl.composing.record import read_record
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.storage import save_model
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig

pytestmark = pytest.mark.usefixtures("fake_plugins")

CONDITIONS = {
    "caption": FakeCaption,
    "semantics": FakeGlobal,
    "color": FakeGlobal,
    "sketch": FakeLocal,
    "instances": FakeLocal,
    "intensity": FakeLocal,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two models, two photos and parts in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, known in (("model", list(CONDITIONS)), ("poor", ["sketch"])):
        save_tiny(name, {condition: CONDITIONS[condition]() for condition in known})
    write_photos()
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def edit(task, *arguments, steps=2, model="model"):
    options = ["--ckpt", model, "--out", "out", "--steps", str(steps)]
    return main(["edit", task, *arguments, *options])


RUNS = {
    "text": ["a bad cafe"],
    "variation": ["a.png", "--keep", "sketch,color"],
    "mix": ["--part", "sketch=a.png", "--part", "color=b.png", "--weight", "color=2"],
    "style": ["b.png", "a.png", "--strength", "0.5"],
    "translation": ["a.png", "a bad cafe"],
    "colorization": ["a.png", "--palette", "b.png", "--keep-luma"],
    "pose": ["a.png", "--like", "b.png"],
}


@pytest.mark.parametrize("task", RUNS)
def test_a_task_writes_pictures_that_carry_what_made_them(folder, capsys, task):
    assert edit(task, *RUNS[task]) == 0
    count = 1 if task == "translation" else 4
    assert f"{count} pictures by {task} from" in capsys.readouterr().out
    record = read_record(f"out/{count - 1:03d}.png")
    assert record.drawing.task == task
    assert record.index == count - 1
    assert not (folder / f"out/{count:03d}.png").exists()
    assert Parts.load("out/parts.safetensors") == record.drawing.parts
    with Image.open("out/sheet.png") as sheet:
        assert sheet.width > 192


def test_parts_of_a_file_are_those_of_its_photo(folder):
    assert edit("variation", "a.png", "--keep", "sketch") == 0
    first = (folder / "out/000.png").read_bytes()
    kept = (folder / "out/parts.safetensors").rename("kept.safetensors")
    assert edit("variation", str(kept), "--keep", "sketch") == 0
    assert (folder / "out/000.png").read_bytes() == first


def test_the_recipe_is_a_file_changed_by_options(folder):
    (folder / "recipe.yaml").write_text("guidance: 5\nconditions: {sketch: 0.5}\n")
    options = ["--recipe", "recipe.yaml", "--with", "conditions.sketch.end=0.6"]
    assert edit("variation", "a.png", "--keep", "sketch", *options) == 0
    recipe = read_record("out/000.png").drawing.recipe
    assert (recipe.guidance, recipe.steps) == (5, 2)
    assert (recipe.conditions["sketch"].weight, recipe.conditions["sketch"].end) == (0.5, 0.6)


def test_a_change_can_be_confined_to_a_box(folder):
    where = ["--inside", "0.25,0.25,0.75,0.6"]
    assert edit("variation", "a.png", "--keep", "color", *where, "-n", "1") == 0
    with Image.open("a.png") as before, Image.open("out/000.png") as after:
        difference = np.any(np.asarray(before) != np.asarray(after.convert("RGB")), axis=-1)
    assert difference[10:30, 15:36].any()
    difference[10:30, 15:36] = False
    assert not difference.any()


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("variaton", ["a.png"], "did you mean 'variation'"),
        ("variation", ["a.png", "--keep", "skech"], "did you mean 'sketch'"),
        ("variation", ["a.png", "--keep", "none,sketch"], "found none and sketch"),
        ("variation", ["a.png", "--keep", ""], "or none alone for no part, found no name"),
        ("translation", ["a.png", "a", "--keep", ","], "found no name"),
        ("variation", ["absent.png"], "absent.png"),
        ("variation", ["notes.txt"], "notes.txt"),
        ("variation", ["a.png", "--with", "conditions.depth=2"], "depth"),
        ("variation", ["a.png", "--keep", "color", "--with", "conditions.sketch=2"], "no part of"),
        ("variation", ["a.png", "--with", "guidence=2"], "did you mean 'guidance'"),
        ("variation", ["a.png", "--inside", "0,0,0,0"], "Reading the region"),
        ("variation", ["a.png", "--upsampler-steps", "3"], "needs an --upsampler"),
        ("text", [" "], "found an empty one"),
        ("text", ["a", "--best-of", "2"], "need a --prior"),
        ("text", ["a", "--prior", "model"], "prior"),
        ("mix", [], "found none"),
        ("mix", ["--part", "sketch"], "such as sketch=photo.png"),
        ("mix", ["--part", "sketch=a.png", "--part", "sketch=b.png"], "was given before"),
        ("mix", ["--part", "sketch=a.png", "--weight", "color=2"], "a weight is given for 'color'"),
        ("mix", ["--part", "sketch=a.png", "--weight", "sketch=much"], "expected a number"),
        ("style", ["b.png", "a.png", "--strength", "2"], "must be in 0..1"),
        ("translation", ["a.png", ""], "found an empty one"),
        ("translation", ["a.png", "a", "--sampler", "dpmpp_2m"], "found sampler dpmpp_2m"),
        ("translation", ["out.safetensors", "a"], "whose pixels are walked back"),
        ("translation", ["out.safetensors", "a", "--route", "noise"], "out.safetensors"),
        ("colorization", ["a.png", "--palette", "0b3d91"], "begin each colour with #"),
        ("mix", ["--caption", " "], "found an empty one"),
        ("colorization", ["a.png", "--palette", "c.png"], "c.png"),
        ("pose", ["a.png"], "maps of a pose"),
        ("pose", ["a.png", "--like", "b.png", "--maps", "color"], "found color"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(folder, capsys, task, arguments, message):
    assert edit(task, *arguments) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert told.count("\n") == 0
    assert "Next: " in told
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--inside", "absent.png"], "absent.png"),
        (["--inside", "0,0,0,0"], "Reading the region"),
        (["--inside", "0,0,1,0.2"], "in the square in the middle"),
        (["--inside", "0.3,0.3,0.6,0.6", "--size", "16x24"], "expected a square to draw"),
        (["--with", "conditions.color=2"], "found no part of it among"),
        (["--with", "conditions.sketch.region=absent.png"], "Reading the region"),
    ],
)
def test_what_is_wrong_is_told_before_a_picture_is_walked_back(
    folder, capsys, monkeypatch, arguments, message
):
    def predict(*_):
        raise AssertionError("a network ran")

    monkeypatch.setattr(ComposerModel, "predict", predict)
    assert edit("translation", "a.png", "a bad cafe", *arguments) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert told.count("\n") == 0


@pytest.mark.filterwarnings("default")
def test_a_picture_that_would_be_near_black_is_told_in_one_line(folder, capsys):
    levels = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)
    levels[0, 0] = 4095
    Image.fromarray(levels).save("twelve.png")
    assert edit("variation", "twelve.png", "--keep", "color", "-n", "1") == 0
    told = capsys.readouterr().err.strip()
    assert told.startswith("Reading the picture twelve.png: expected 16-bit levels up to 65535")
    assert told.count("\n") == 0


@pytest.fixture
def larger(folder):
    """An upsampler for the models."""
    model = UpsamplerModel(UPSAMPLER, ProcessConfig(prediction="v"), {}, UpsamplingConfig())
    save_model(filled(model), "larger")
    return ["--upsampler", "larger", "--upsampler-steps", "2"]


@pytest.mark.parametrize("task", ["variation", "translation"])
def test_tiles_of_the_upsampler_are_recorded_and_taken_again(larger, capsys, task):
    assert edit(task, *RUNS[task], *larger, "-n", "1") == 0
    whole = Path("out/000.png").read_bytes()
    assert edit(task, *RUNS[task], *larger, "-n", "1", "--tile", "16") == 0
    record = read_record("out/000.png")
    assert record.drawing.tiling == Tiling(side=16, overlap=4)
    assert Path("out/000.png").read_bytes() != whole
    assert main(["reproduce", "out/000.png", "--out", "again.png"]) == 0
    assert "the same bytes" in capsys.readouterr().out


def test_tiles_that_cannot_be_are_told_before_anything_is_drawn(larger, capsys, monkeypatch):
    def predict(*_):
        raise AssertionError("a network ran")

    monkeypatch.setattr(ComposerModel, "predict", predict)
    for options, message in (
        (["--tile", "16"], "--tile needs an --upsampler, found none"),
        ([*larger, "--tile", "7"], "tiles of at least 8 pixels"),
        ([*larger, "--tile", "18"], "expected side and overlap to be multiples of 4"),
    ):
        assert edit("translation", *RUNS["translation"], *options) == 2
        told = capsys.readouterr().err.strip()
        assert message in told
        assert told.count("\n") == 0


@pytest.mark.parametrize("task", ["text", "translation", "colorization", "style", "pose", "tryon"])
def test_a_poor_model_names_what_it_lacks_and_has(folder, capsys, task):
    arguments = {**RUNS, "tryon": ["a.png", "b.png", "--mask", "0,0,0.5,1"]}[task]
    if task == "pose":
        arguments = ["a.png", "--like", "b.png", "--maps", "sketch"]
    assert edit(task, *arguments, model="poor") == 2
    told = capsys.readouterr().err
    assert f"Editing by {task}: it needs" in told
    assert "trained with sketch. Next:" in told


def test_help_names_every_task_and_imports_no_torch():
    code = (
        "import sys\nfrom composer_pl.cli import main\n"
        "assert main(['edit', '--help']) == 0 and main(['edit', 'style', '--help']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in TASKS)
