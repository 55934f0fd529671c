"""`composer-pl eval attribution` on tiny models: the report, the numbers, and mistakes."""

import pytest
from eval_fakes import one_mistake
from fakes import FakeCaption, FakeGlobal, FakeLocal
from PIL import Image
from tiny import save_tiny

from composer_pl.cli import main
from composer_pl.evaluation.measurement import differences, read_measurements
from composer_pl.evaluation.report import Table, read_report

pytestmark = pytest.mark.usefixtures("fake_plugins")

MODELS = {
    "model": {"text": FakeCaption(), "mean": FakeGlobal(), "grey": FakeLocal()},
    "single": {"grey": FakeLocal()},
    "many": {f"mean_{i}": FakeGlobal() for i in range(9)},
    "none": {},
}


def save(name):
    save_tiny(name, MODELS[name])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("model")
    return tmp_path


def attribution(*options, model="model"):
    return main(["eval", "attribution", "--ckpt", model, "--out", "out", "-n", "2", *options])


def test_it_writes_a_report_and_its_numbers(folder, capsys):
    assert attribution("--bands", "2") == 0
    assert "effects of 3 conditions on 2 pictures, exactly" in capsys.readouterr().out
    report = read_report("out")
    tables = {part.title: part for part in report.parts if isinstance(part, Table)}
    summary = tables["What each condition is worth"]
    assert sorted(row[0] for row in summary.rows) == ["grey", "mean", "text"]
    by_level = tables["Shapley effect by noise level"]
    assert by_level.columns == ["condition", "t 0-499", "t 500-999", "all levels"]
    values = {row[0]: [cell.value for cell in row[1:]] for row in by_level.rows}
    total = values.pop("all together")
    for column in range(3):
        assert sum(v[column] for v in values.values()) == pytest.approx(total[column], abs=1e-9)
    measured = {m.measure: m for m in read_measurements("out/results.jsonl")}
    found = measured["Shapley effect of grey, all levels"]
    assert found.value == pytest.approx(values["grey"][2])
    assert found.settings["plan"]["bands"] == 2
    assert found.settings["conditions"] == ["text", "mean", "grey"]


def test_the_same_again_is_the_same_and_replaces_it(folder):
    assert attribution() == 0
    first = read_measurements("out/results.jsonl")
    assert attribution("--batch", "5") == 0
    again = read_measurements("out/results.jsonl")
    assert len(again) == len(first)
    for one, other in zip(first, again, strict=True):
        assert differences(one, other) == []
        assert other.value == pytest.approx(one.value, rel=1e-4, abs=1e-5)


def test_more_than_eight_conditions_are_sampled_in_orders(folder, capsys):
    save("many")
    assert attribution("--bands", "1", model="many") == 0
    assert "from 16 orders a picture" in capsys.readouterr().out
    (first, *_) = read_measurements("out/results.jsonl")
    assert first.settings["plan"]["orders"] == 16


def test_models_beside_are_measured_on_the_same_pictures(folder):
    save("single")
    assert attribution("--beside", "single", "--conditions", "grey,mean") == 0
    titles = [part.title for part in read_report("out").parts if isinstance(part, Table)]
    assert "What each condition is worth, model" in titles
    assert "What each condition is worth, single" in titles
    share = {}
    for measurement in read_measurements("out/results.jsonl"):
        if measurement.measure == "share of grey, all levels":
            share[measurement.settings["model"]["origin"]] = measurement.value
    assert share["single"] == pytest.approx(1)
    assert share["model"] != pytest.approx(1)


def test_pictures_without_captions_leave_the_caption_out(folder, capsys):
    (folder / "photos").mkdir()
    for i in range(2):
        Image.new("RGB", (40, 40), (90 * i, 40, 80)).save(f"photos/{i}.png")
    assert attribution("--data.root", "photos") == 0
    told = capsys.readouterr()
    assert "text is left out: 2 of 2 pictures have no caption." in told.err
    assert "effects of 2 conditions" in told.out


@pytest.mark.parametrize(
    ("options", "model", "message"),
    [
        (["--conditions", "gray"], "model", "did you mean 'grey'"),
        ([], "none", "found none that pictures can give"),
        (["--orders", "0"], "model", "orders must be at least 1"),
        (["--scenes", "0"], "model", "expected at least 1, found 0"),
        (["--scenes", "2", "--data.root", "x"], "model", "found both"),
        (["--data.root", "absent"], "model", "absent"),
        (["--beside", "model"], "model", "found 'model' twice"),
        ([], "absent", "absent"),
        (["--batch", "0"], "model", "--batch of 1 or more, found 0"),
        (["--bands", "1001"], "model", "timesteps, 1000, found 1001"),
        (["--conditions", "mean", "--beside", "single"], "model", "single to have a condition of"),
        (["--beside", "none"], "model", "found none"),
    ],
)
def test_mistakes_are_one_line_with_exit_code_2(folder, capsys, options, model, message):
    for name in {"none", "single"} & {model, *options}:
        save(name)
    assert attribution(*options, model=model) == 2
    assert message in one_mistake(capsys)
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_the_shipped_model_gives_every_condition_a_share(tmp_path):
    out = str(tmp_path / "out")
    assert (
        main(
            ["eval", "attribution", "--ckpt", "scenes-64", "--out", out, "--scenes", "2",
             "--bands", "1", "--orders", "2"]
        )
        == 0
    )  # fmt: skip
    measured = {m.measure: m for m in read_measurements(tmp_path / "out" / "results.jsonl")}
    shares = [m.value for name, m in measured.items() if name.startswith("share of")]
    assert len(shares) == 8
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert measured["effect of all, all levels"].value > 0
