"""The whole protocol on generated scenes with the shipped model, from the command line."""

import pytest

from composer_pl.cli import main
from composer_pl.evaluation.measurement import read_measurements
from composer_pl.evaluation.report import read_report


@pytest.mark.slow
def test_the_shipped_model_is_measured_on_scenes(tmp_path, monkeypatch, capsys):
    """A handful of pictures at few steps: caption only and with prior, base and cascade."""
    monkeypatch.chdir(tmp_path)
    assert main(["scenes", "--out", "coco", "-n", "1", "--val", "6", "--size", "64"]) == 0
    common = ["--data.root", "coco", "--split", "val", "--ckpt", "scenes-64", "--steps", "3"]
    assert main(["eval", "coco-fid", *common, "--out", "refused"]) == 2
    assert "the split is val, not val2014" in capsys.readouterr().err
    common = ["eval", "coco-fid", *common, "--not-the-protocol", "--batch", "4"]
    own = ["--network", "tiny", "--network", "own"]
    prior = [*own, "--prior", "scenes-prior", "--prior-steps", "3", "--guidance", "1,3"]
    assert main([*common, "--out", "base", *prior]) == 0
    cascade = ["--upsampler", "scenes-128", "--upsampler-steps", "2", "-n", "4"]
    assert main([*common, "--out", "large", *cascade, "--keep", "features"]) == 0
    told = capsys.readouterr().out
    assert "base/report.html: KID, tiny" in told
    found = read_measurements("base/results.jsonl")
    manners = {(one.settings["conditions"], one.settings["recipe"]["guidance"]) for one in found}
    assert len(manners) == 4
    assert {one.settings["side"] for one in found} == {64}
    assert {one.settings["side"] for one in read_measurements("large/results.jsonl")} == {128}
    assert not any(one.of_protocol for one in found)
    assert {one.measure for one in found} >= {"FID, tiny", "CLIP score, the model's own CLIP"}
    assert read_report(tmp_path / "base").title
    assert main(["eval", "compare", "base", "large"]) == 2
    assert "side: 64 against 128" in capsys.readouterr().err
