"""`composer-pl eval composition` on tiny models: the report, the numbers, and mistakes."""

import numpy as np
import pytest
from eval_fakes import one_mistake
from fakes import FakeCaption, FakeGlobal, FakeLocal
from PIL import Image
from tiny import save_tiny

from composer_pl.cli import main
from composer_pl.data.scenes.export import ExportSettings, export_scenes
from composer_pl.evaluation.control import scorers
from composer_pl.evaluation.measurement import read_measurements
from composer_pl.evaluation.report import Grid, Table, read_report

pytestmark = pytest.mark.usefixtures("fake_plugins")


MODELS = {
    "model": {"text": FakeCaption(), "mean": FakeGlobal(), "grey": FakeLocal()},
    "single": {"grey": FakeLocal()},
    "scenes": {"caption": FakeCaption(), "instances": FakeLocal(), "color": FakeGlobal()},
    "deaf": {"other": FakeLocal()},
}


def save(name):
    save_tiny(name, MODELS[name])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model and photos."""
    monkeypatch.chdir(tmp_path)
    save("model")
    generator = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(8):
        pixels = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{i}.png")
    return tmp_path


def composition(*options, model="model", photos=True):
    root = ["--data.root", "photos"] if photos else []
    arguments = ["--ckpt", model, "--out", "out", "--steps", "1", *root, *options]
    return main(["eval", "composition", *arguments])


def tables():
    return {part.title: part for part in read_report("out").parts if isinstance(part, Table)}


def test_two_conditions_of_any_model_meet(folder, capsys):
    assert composition() == 0
    told = capsys.readouterr()
    assert "text is left out: 8 of 8 pictures have no caption." in told.err
    assert "1 conflicts" in told.out
    found = tables()
    alone = found["Each condition alone: own extractor"]
    assert [row[0] for row in alone.rows] == ["mean", "grey"]
    for given in ("conflicting", "compatible"):
        (row,) = found[f"Who wins, {given}: own extractor"].rows
        assert row[:2] == ["mean", "grey"]
    assert not any("independent" in title for title in found)
    assert any(isinstance(part, Grid) for part in read_report("out").parts)
    measured = {m.measure: m for m in read_measurements("out/results.jsonl")}
    ceiling = measured["ceiling of grey, own extractor"]
    assert ceiling.value == pytest.approx(alone.rows[1][1].value)
    assert ceiling.count == 8
    assert ceiling.settings["recipe"]["steps"] == 1
    assert ceiling.settings["data"]["pictures"] == "folder"


def test_a_model_with_a_single_condition_stands_beside(folder):
    save("single")
    assert composition("--beside", "single", "-n", "2") == 0
    found = tables()
    assert [row[0] for row in found["Each condition alone: own extractor, single"].rows] == ["grey"]
    assert "Who wins, conflicting: own extractor, single" not in found


def test_scenes_of_a_root_are_judged_as_scenes(folder, monkeypatch):
    export_scenes(folder / "root", ExportSettings(train=1, val=2, size=32))
    kinds = {"grey": "sketch"}
    monkeypatch.setattr(scorers, "kind_of", lambda name, plugin: kinds.get(name, name))
    options = ["--data.root", "root", "--data.split", "val", "--pairs", "mean+grey", "-n", "2"]
    assert composition(*options, photos=False) == 0
    (measured,) = {
        tuple(m.settings["judges"].items()) for m in read_measurements("out/results.jsonl")
    }
    assert measured == (("grey", "judged outlines, F1"),)
    assert not any("Pairs of colour and shape" in title for title in tables())


@pytest.mark.slow
def test_scenes_add_sets_of_pairs(folder):
    save("scenes")
    options = ["--scenes", "2", "--sets", "two pictures", "--pairs", "caption+color"]
    assert composition(*options, model="scenes", photos=False) == 0
    found = tables()
    pairs = found["Pairs of colour and shape: two pictures"]
    assert [row[:2] for row in pairs.rows] == [
        [group, arm] for group in ("held out", "seen") for arm in ("scenes", "blind", "ceiling")
    ]
    ceiling = {row[0]: row[2].value for row in pairs.rows if row[1] == "ceiling"}
    assert ceiling["held out"] > 0.9  # the judge reads true pictures rightly
    assert "Held out over seen: two pictures" in found
    measures = [m.measure for m in read_measurements("out/results.jsonl")]
    assert "pair right, held out, two pictures" in measures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "3"], "expected an even number of pictures, two at least, found 3"),
        (["--conditions", "mean"], "two conditions at least"),
        (["--pairs", "mean"], "found 'mean'"),
        (["--pairs", "mean+mean"], "found 'mean+mean'"),
        (["--pairs", "mean+gray"], "did you mean 'grey'"),
        (["--sets", "captoin"], "did you mean 'caption'"),
        (["--sets", "caption"], "the sets are of scenes"),
        (["--each", "0"], "--each of 1 or more, found 0"),
        (["--batch", "0"], "--batch of 1 or more, found 0"),
        (["--with", "conditions.gray.weight=2"], "did you mean 'grey'"),
        (["--beside", "deaf"], "deaf to have a condition of text, mean, grey, found other"),
        (["-n", "10"], "expected 10, found 8"),
        (["--steps", "0"], "steps must be in"),
        (["--beside", "absent"], "absent"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(folder, capsys, options, message):
    if "deaf" in options:
        save("deaf")
    assert composition(*options) == 2
    assert message in one_mistake(capsys)
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_the_shipped_model_puts_parts_of_two_pictures_together(tmp_path):
    """Sketch and palette of two scenes: both obeyed, by the extractors and by the judge."""
    out = str(tmp_path / "out")
    options = ["--pairs", "sketch+color", "--steps", "5", "--sets", "none"]
    assert (
        main(
            ["eval", "composition", "--ckpt", "scenes-64", "--out", out, "--scenes", "8", *options]
        )
        == 0
    )
    measured = {m.measure: m for m in read_measurements(tmp_path / "out" / "results.jsonl")}
    for scorer in ("own extractor", "independent judge"):
        for name in ("sketch", "color"):
            assert measured[f"way of {name}, {scorer}"].value > 0.1
            blind, alone = (measured[f"{arm} of {name}, {scorer}"] for arm in ("blind", "alone"))
            assert blind.value < alone.value
        assert measured[f"sketch keeps beside conflicting color, {scorer}"].value > 0.3
