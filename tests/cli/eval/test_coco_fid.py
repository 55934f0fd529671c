"""`composer-pl eval coco-fid` from the command line, with a tiny untrained model."""

import json
from pathlib import Path

import pytest
from coco_fakes import save_models, write_annotations, write_root
from fakes import FakeGlobal

from composer_pl.cli import main
from composer_pl.composing.composer import Composer
from composer_pl.evaluation.measurement import read_measurements


@pytest.fixture
def place(tmp_path, monkeypatch, fake_plugins):
    """`coco/`, `model/` and `upsampler/` in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_root(tmp_path / "coco")
    save_models(tmp_path)
    return tmp_path


def evaluate(*arguments, model="model", root="coco"):
    options = ["--data.root", root, "--ckpt", model, "--out", "out", "--steps", "2"]
    return main(["eval", "coco-fid", *options, "--block", "4", *arguments])


def test_numbers_report_and_pictures_are_written(place, capsys):
    assert evaluate("--not-the-protocol", "--guidance", "1,3") == 0
    told = capsys.readouterr().out
    assert told.startswith("out/report.html: KID, tiny")
    assert "not the protocol" in told
    assert told.count("\n") == 1
    found = read_measurements("out/results.jsonl")
    assert {one.settings["recipe"]["guidance"] for one in found} == {1.0, 3.0}
    assert len(found) == 8
    for name in ("report.html", "report.json", "tables.md", "tables.tex", "captions.json"):
        assert (place / "out" / name).is_file()
    assert len(list((place / "out" / "drawn").rglob("*.png"))) == 20


def test_shares_and_the_rest_are_the_same_as_one_process(place, capsys):
    assert evaluate("--not-the-protocol", "--shard", "2/3") == 0
    assert "share 2/3 done" in capsys.readouterr().out
    assert not (place / "out" / "results.jsonl").exists()
    assert evaluate("--not-the-protocol") == 0
    assert evaluate("--not-the-protocol", "--keep", "features", "--out", "other") == 0
    assert read_measurements("out/results.jsonl") == read_measurements("other/results.jsonl")
    assert main(["eval", "compare", "out", "other"]) == 0


def test_without_the_protocol_nothing_is_drawn(place, capsys):
    assert evaluate() == 2
    told = capsys.readouterr().err
    assert "10 pictures to compare with, not 40504" in told
    assert "--not-the-protocol" in told
    assert not (place / "out").exists()


def twice(content):
    content["annotations"].append(content["annotations"][0])


def silent(content):
    for annotation in content["annotations"]:
        annotation["caption"] = ""


@pytest.mark.parametrize(
    ("change", "told"), [(twice, "duplicated captions"), (silent, "found none that says anything")]
)
def test_captions_that_cannot_be_used_are_refused(place, capsys, change, told):
    content = json.loads(Path("coco/annotations/captions_val2014.json").read_text())
    change(content)
    write_annotations(place / "coco", content)
    assert evaluate("--not-the-protocol") == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-n", "11"], "at most 10"),
        (["-n", "1"], "at least 2 captions and 2 pictures"),
        (["--root", "x"], "unknown option"),
        (["--split", "val2017"], "val2017"),
        (["--network", "inception:absent.pth"], "absent.pth"),
        (["--network", "clean:a"], "clean-inception"),
        (["--shard", "3/2"], "such as 2/4"),
        (["--shard", "1/2", "--processes", "2"], "found both"),
        (["--processes", "0"], "1 to 256 processes"),
        (["--guidance", "1,1"], "different guidances"),
        (["--guidance", "much"], "such as 1,2,3"),
        (["--repeats", "0"], "generations"),
        (["--prior-steps", "3"], "need a --prior"),
        (
            ["--captions", "absent.json"],
            "absent.json: expected a list that an evaluation wrote, found: No such file",
        ),
        (["--upsampler-steps", "3"], "needs an --upsampler"),
        (["--upsampler", "model"], "upsampler"),
        (["--with", "conditions.color=2"], "color"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(place, capsys, arguments, told):
    assert evaluate("--not-the-protocol", *arguments) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Next: " in captured.err
    assert "Traceback" not in captured.err
    assert not (place / "out" / "results.jsonl").exists()


def test_a_model_without_captions_is_refused(place, capsys):
    from coco_fakes import make_model

    Composer(make_model({"color": FakeGlobal()})).save_pretrained("deaf")
    assert evaluate("--not-the-protocol", model="deaf") == 2
    assert "trained with captions, found one with color" in capsys.readouterr().err


def test_a_folder_of_another_run_is_refused(place, capsys):
    assert evaluate("--not-the-protocol", "--shard", "1/9") == 0
    assert evaluate("--not-the-protocol", "--steps", "3") == 2
    assert "recipe.steps 2, not 3" in capsys.readouterr().err
