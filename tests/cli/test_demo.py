"""`composer-pl demo` with a stand-in model: what works, what fails, and what is said of it."""

import html
import re
import shlex

import blocked
import pytest
import torch

from composer_pl.backbones.unet import UNetConfig
from composer_pl.cli import COMMANDS, RAW, demo, demo_steps, main
from composer_pl.cli.demo_page import write_page
from composer_pl.cli.demo_steps import Plan, Step, edited_caption, model_steps, training_steps
from composer_pl.cli.parser import ComposerParser
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.storage import save_model

EIGHT = ("caption", "semantics", "color", "sketch", "instances", "depth", "intensity", "masking")
BACKBONE = UNetConfig(
    channels=8, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(1,), head_dim=8,
    context_dim=8, hint_channels=4, hint_scale=2, out_channels=3, patch_size=2, resolution=32,
)  # fmt: skip


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """A model of the four conditions that need no weights, in `standin` of the working folder."""
    color = pytest.importorskip("composer_pl_color")
    sketch = pytest.importorskip("composer_pl_sketch")
    intensity = pytest.importorskip("composer_pl_intensity")
    masking = pytest.importorskip("composer_pl_masking")
    torch.manual_seed(0)
    conditions = {
        "color": color.Color(),
        "sketch": sketch.Sketch(edges="canny", canvas=128),
        "intensity": intensity.Intensity(),
        "masking": masking.Masking(),
    }
    model = ComposerModel(BACKBONE, ProcessConfig(prediction="v"), conditions)
    save_model(model, tmp_path / "standin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ("--model", "standin", "-n", "1", "--steps", "2", "--train-seconds", "0")


def test_what_a_model_cannot_do_is_on_the_page_and_the_rest_is_done(standin, capfd, monkeypatch):
    monkeypatch.setattr(demo, "photo_file", lambda: None)
    assert main(["demo", "--out", "out", *SMALL]) == 1
    told = capfd.readouterr()
    assert "The real photo is left out: scikit-image" in told.err
    page = (standin / "out" / "index.html").read_text()
    titles = re.findall(r"<h2>\d+\. (.*?)</h2>", page)
    assert len(titles) == 9
    assert f"[9/9] {titles[-1]}" in told.out
    assert len(re.findall(r"\d s(?:, seed \d+)?</p>", page)) == 9
    failed = re.findall(r'<p class="failed">Failed: (.*?)</p>', page)
    composed, composed_too, edited = failed  # a caption alone, depth and semantics, the region
    assert "expected conditions of this model" in composed
    assert "expected conditions of this model" in composed_too
    assert "caption" in edited
    assert "Next: " in edited
    assert page.count("data:image/png;base64,") == 7  # two scenes in the first step
    assert str(standin) not in page
    assert "9 steps, 3 failed" in told.out
    assert "Traceback" not in told.err


def test_a_missing_model_is_one_line_and_training_is_shown(standin, capfd):
    words = ("--model", "scenes-46", "--train-seconds", "0")
    assert main(["demo", "--out", "out", *words]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if "scenes-46" in line]
    assert len(lines) == 1
    assert lines[0].startswith("Only rendering and training are shown. Loading a model from")
    page = (standin / "out" / "index.html").read_text()
    assert page.count('class="failed"') >= 8
    assert page.count("data:image/png;base64,") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "0"], "-n in 1..10000, found 0"),
        (["--steps", "0"], "--steps in 1..1000, found 0"),
        (["--steps", "1001"], "found 1001"),
        (["--train-seconds", "-5"], "--train-seconds in 0..86400, found -5"),
    ],
)
def test_bad_options_are_refused_before_anything_is_done(tmp_path, capsys, words, message):
    assert main(["demo", "--out", str(tmp_path / "out"), *words]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not list(tmp_path.iterdir())


def test_an_absent_condition_names_its_package(standin, capfd):
    config = standin / "standin" / "config.json"
    text = config.read_text().replace("composer-pl-masking", "composer-pl-instances")
    config.write_text(text.replace('"masking"', '"instanzes"'))
    assert main(["demo", "--out", "out", *SMALL]) == 1
    told = capfd.readouterr().err
    assert "no installed package provides the condition 'instanzes'" in told
    assert "composer-pl-instances" in told
    assert "AGPL-3.0" in told
    assert told.count("instanzes") == 1


def test_every_command_is_one_that_can_be_typed(tmp_path):
    plan = Plan(out=tmp_path, model="scenes-64", upsampler="scenes-128", conditions=EIGHT)
    steps = model_steps(plan, ["a cube", "a cone"], "a scene with a ball", True)
    steps += [demo_steps.scene_step(plan), *training_steps(plan)]
    assert len(steps) == 14
    for step in steps:
        name, *words = step.command
        if name in RAW:
            continue
        module = __import__(COMMANDS[name][0], fromlist=["add_arguments"])
        parser = ComposerParser(prog=f"composer-pl {name}")
        module.add_arguments(parser)
        parser.parse_args(words)


def test_the_edit_exchanges_the_nearest_object():
    things = [{"color": "red", "shape": "cube"}, {"color": "yellow", "shape": "sphere"}]
    record = {"objects": things, "instances": [{"id": 2}, {"id": 1}]}
    assert edited_caption(record) == (2, "a scene with a red cube and a blue cube")
    record["instances"].reverse()
    assert edited_caption(record) == (
        1,
        "a scene with a yellow sphere and a yellow sphere",
    )
    things[1] = {"color": "orange", "shape": "cone"}
    assert edited_caption(record) == (1, "a scene with a yellow sphere and an orange cone")


def test_the_page_escapes_what_it_shows(tmp_path):
    step = Step(title="<b>", command=["compose", "--caption", "<i> a"], picture=tmp_path, error="&")
    write_page(tmp_path / "index.html", [step], lead="<u>", seconds=1)
    page = (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;" in page
    assert "Failed: &amp;" in page
    assert html.escape(shlex.quote("<i> a")) in page
    assert not re.search("<[biu]>", page)


@pytest.mark.slow
def test_from_nothing_to_a_page_without_a_network(standin):
    words = [*SMALL[:-1], "5"]
    ended = blocked.run("demo", "--out", "out", *words, cwd=standin, timeout=900)
    assert ended.returncode == 1, ended.stderr  # the stand-in knows no caption
    assert "Traceback" not in ended.stderr
    page = (standin / "out" / "index.html").read_text()
    assert "Train your own for 5 s" in page
    assert "too early to tell" in page
    assert page.count('class="failed"') == 3
