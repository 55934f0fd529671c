"""`composer-pl eval control` from the command line, and what it answers to mistakes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from eval_fakes import one_mistake
from fakes import FakeCaption, FakeGlobal, FakeLocal, FakeRandom
from PIL import Image
from tiny import TINY, save_tiny

from composer_pl.cli import main
from composer_pl.composing.composer import Composer
from composer_pl.composing.identity import model_digest
from composer_pl.data.scenes.export import ExportSettings, export_scenes
from composer_pl.evaluation.measurement import read_measurements
from composer_pl.models.storage import load_model

CONDITIONS = {
    "caption": FakeCaption(),
    "color": FakeGlobal(),
    "sketch": FakeLocal(),
    "intensity": FakeRandom(),
}


@pytest.fixture
def folder(tmp_path, monkeypatch, fake_plugins):
    """A model, one without conditions, one of another side, and photos with captions."""
    monkeypatch.chdir(tmp_path)
    larger = replace(TINY, resolution=32)
    for name, config, plugins in (
        ("model", TINY, CONDITIONS),
        ("blind", TINY, {}),
        ("single", TINY, {"sketch": FakeLocal(drop_prob=0.1)}),
        ("finer", replace(TINY, hint_scale=4), CONDITIONS),
        ("large", larger, {}),
    ):
        save_tiny(name, plugins, config)
    photos = tmp_path / "photos"
    photos.mkdir()
    draws = np.random.default_rng(0)
    for number in range(4):
        pixels = draws.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40), Image.Resampling.BICUBIC).save(
            photos / f"{number}.png"
        )
        (photos / f"{number}.txt").write_text(f"a bad cafe {number}")
    return tmp_path


def control(*arguments, model="model", root="photos"):
    source = ["--data.root", root] if root else []
    options = ["--ckpt", model, "--out", "out", "--steps", "1", *source]
    return main(["eval", "control", *options, *arguments])


def test_photos_are_scored_and_reported(folder, capsys):
    assert control("-n", "3", "--pairs", "2", "--again", "2", "--training", "photos") == 0
    assert "4 conditions on 3 pictures" in capsys.readouterr().out
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    for name in CONDITIONS:
        for what in ("floor", "alone", "ceiling", "blind"):
            assert f"{name} by own extractor: {what}" in found
    assert found["color by own extractor: ceiling"].value > 0.95
    assert found["sketch by own extractor: way, with color"].count == 2
    assert "sketch: kernel distance" in found
    settings = found["sketch by own extractor: way"].settings
    assert settings["recipe"]["steps"] == 1
    assert settings["data"]["count"] == 3
    assert "features" not in settings  # a way hangs on no feature network
    assert found["sketch: kernel distance"].settings["features"]["name"] == "tiny"
    page = (folder / "out" / "report.html").read_text()
    for title in ("Obedience", "Pairs", "Quality and diversity", "Copies of training pictures"):
        assert title in page
    assert "none: own extractor" in page  # strangers to every judge, and said to be
    assert json.loads((folder / "out" / "report.json").read_text())


def test_a_baseline_stands_in_the_same_tables(folder):
    arguments = ["-n", "3", "--pairs", "0", "--again", "0", "--conditions", "color,sketch"]
    assert control(*arguments, "--baseline", "one=single", "--baseline", "model") == 0
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    assert "sketch by own extractor: way of one" in found
    assert "color by own extractor: way of one" not in found
    assert found["color by own extractor: way ahead of model"].value == pytest.approx(0)
    together = found["color by own extractor: way of model, all given"]
    assert together.value == found["color by own extractor: way, all given"].value
    assert together.settings["baseline"] == model_digest(load_model("model"))
    assert "Baselines" in (folder / "out" / "tables.md").read_text()


def test_a_baseline_that_extracts_otherwise_is_not_given_those_values(folder, capsys):
    """Its maps are twice as large, so that only what is no map can be shared."""
    arguments = ["-n", "2", "--pairs", "0", "--again", "0", "--conditions", "color,sketch"]
    assert control(*arguments, "--baseline", "finer") == 0
    assert "'finer' is not given sketch" in capsys.readouterr().err
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    assert "color by own extractor: way of finer" in found
    assert not any(name.startswith("sketch") and "finer" in name for name in found)


def test_a_root_of_scenes_stands_with_baselines_and_a_blind_model(folder, capsys):
    """As trained models of other conditions are measured: judged by the root's own truth."""
    export_scenes(folder / "root", ExportSettings(train=1, val=3, size=32))
    arguments = ["-n", "3", "--data.split", "val", "--pairs", "0", "--again", "0"]
    arguments += ["--baseline", "one=single", "--blind", "blind"]
    assert control(*arguments, root="root") == 0
    told = capsys.readouterr()
    assert "4 conditions on 3 pictures" in told.out
    assert "know nothing are drawn by blind" in told.err
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    assert "sketch by own extractor: way of one" in found
    assert "judge" in found["sketch by own extractor: way"].settings
    assert found["sketch by own extractor: blind"].settings["blind"] == model_digest(
        load_model("blind")
    )
    assert "blind" not in found["sketch by own extractor: floor"].settings


def test_training_weights_are_compared_with_training_weights(folder, monkeypatch):
    asked = []

    def loaded(path, *, averaged=True):
        asked.append((str(path), averaged))
        return load_model(path, averaged=averaged)

    monkeypatch.setattr("composer_pl.models.storage.load_model", loaded)
    arguments = ["-n", "2", "--pairs", "0", "--again", "0", "--conditions", "sketch"]
    others = ["--baseline", "single", "--blind", "blind", "--raw-weights"]
    assert control(*arguments, *others) == 0
    assert {("single", False), ("blind", False)} <= set(asked)


def test_the_batch_changes_no_number(folder):
    arguments = ["-n", "3", "--pairs", "0", "--again", "0", "--conditions", "color"]
    lines = []
    for batch in ("2", "3"):
        assert control(*arguments, "--batch", batch) == 0
        found = read_measurements("out/results.jsonl")
        lines.append({m.measure: m.value for m in found})
    assert lines[0] == pytest.approx(lines[1], abs=0.02)


def test_scenes_are_judged_by_their_truth(folder, capsys):
    arguments = ["--scenes", "2", "--pairs", "0", "--again", "0", "--blind", "blind"]
    assert control(*arguments, root="") == 0
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    # fakes are known by their entry points' names, which are those of no condition of the paper
    assert "caption by own extractor: alone" in found
    assert found["color by own extractor: floor"].settings["data"]["pictures"] == "scenes"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "1"], "expected at least 2 pictures"),
        (["-n", "9"], "expected 9, found 4"),
        (["--conditions", "sketc"], "did you mean 'sketch'"),
        (["--pairs", "-1"], "expected --pairs of 0 or more"),
        (["--judge", "sketch.x=1", "--conditions", "color"], "name sketch in --conditions"),
        (["--baseline", "=model"], "LABEL=MODEL or MODEL, found '=model'"),
        (["--batch", "0"], "expected --batch of 1 or more"),
        (["--with", "conditions.skech.weight=2"], "did you mean 'sketch'"),
        (["--blind", "large"], "found 32"),
        (["--blind", "nowhere"], "nowhere"),
        (["--baseline", "blind"], "found none"),
        (["--baseline", "model", "--baseline", "model"], "'model' twice"),
        (["--features", "inceptionn"], "inceptionn"),
        (["--device", "nowhere"], "Choosing the device"),
        (["--judge", "sketch.edges=other"], "expected arguments of FakeLocal"),
        (["--judge", "warmth.x=1"], "warmth"),
        (["--judge", "sketch"], "Reading --judge"),
        (["--training", "photos", "--training-scenes", "3"], "found both"),
        (["--training-scenes", "0"], "at least one training picture"),
        (["--scenes", "3"], "expected --scenes or --data.root"),
    ],
)
def test_mistakes_are_told_in_one_line_before_anything_is_drawn(folder, capsys, arguments, said):
    counted = [] if "-n" in arguments else ["-n", "2"]
    assert control(*counted, *arguments) == 2
    assert said in one_mistake(capsys)
    assert not (folder / "out").exists()


def test_a_model_without_conditions_is_refused(folder, capsys):
    assert control("-n", "2", model="blind") == 2
    assert "expected a condition that these pictures give, found none" in one_mistake(capsys)


@pytest.mark.slow
def test_the_shipped_model_obeys_and_a_blind_one_does_not(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--ckpt", "scenes-64", "--out", "out", "--scenes", "8", "--steps", "8"]
    options += ["--guidance", "2", "--pairs", "0", "--again", "2"]
    options += ["--conditions", "color,sketch,intensity"]
    assert main(["eval", "control", *options]) == 0
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    for name, judge in (
        ("color", "Lab distribution"),
        ("sketch", "judged outlines, F1"),
        ("intensity", "luma, SSIM"),
    ):
        assert found[f"{name} by {judge}: way"].low > 0.1
        assert found[f"{name} by {judge}: ceiling"].value > 0.9
        assert abs(found[f"{name} by {judge}: blind way"].value) < 0.3
        assert found[f"{name} by own extractor: way"].low > 0.1


@pytest.mark.slow
def test_a_condition_blind_model_is_at_the_floor_in_every_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blind = Composer.from_pretrained("scenes-64")
    for encoder in blind.model.conditioner.encoders.values():
        for parameter in encoder.parameters():
            torch.nn.init.zeros_(parameter)
    blind.save_pretrained("blind")
    options = ["--ckpt", "blind", "--out", "out", "--scenes", "32", "--steps", "3"]
    assert main(["eval", "control", *options, "--pairs", "0", "--again", "0"]) == 0
    found = {m.measure: m for m in read_measurements("out/results.jsonl")}
    ways = [m for name, m in found.items() if name.endswith((": way", ": way, all given"))]
    assert len(ways) >= 36  # eight conditions, 19 rows; a row without a length has no way
    for way in ways:  # depth has floor and ceiling so near that few scenes tell little of its way
        low, high = (way.value if end is None else end for end in (way.low, way.high))
        assert low < 0.3, way.measure
        assert high > -0.3, way.measure
    around = [m for m in ways if m.low is None or m.low <= 0 <= m.high]
    assert len(around) >= 0.85 * len(ways)  # nineteen of twenty, but for chance
