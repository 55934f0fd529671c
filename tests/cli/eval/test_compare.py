"""`composer-pl eval compare` from the command line."""

import pytest

from composer_pl.cli import main
from composer_pl.evaluation.measurement import Measurement, append_measurements


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two evaluations of two models, a third one with other sampling."""
    monkeypatch.chdir(tmp_path)
    for name, value, steps in (("a", 9.0, 25), ("b", 8.0, 25), ("c", 7.0, 50)):
        (tmp_path / name).mkdir()
        number = Measurement(
            protocol="coco-fid",
            measure="FID, tiny",
            value=value,
            low=value - 0.25,
            high=value + 0.25,
            interval="over generation seeds",
            count=30,
            of_protocol=False,
            settings={"model": {"base": name}, "recipe": {"steps": steps}},
        )
        append_measurements(tmp_path / name / "results.jsonl", [number])


def test_alike_numbers_are_printed_with_intervals(folders, capsys):
    assert main(["eval", "compare", "a", "b/results.jsonl"]) == 0
    told = capsys.readouterr().out
    assert "9 [8.75, 9.25]" in told
    assert "8 [7.75, 8.25]" in told
    assert "intervals apart" in told
    assert "not the protocol" in told


def test_unlike_numbers_are_refused_unless_the_setting_may_differ(folders, capsys):
    assert main(["eval", "compare", "a", "c"]) == 2
    told = capsys.readouterr()
    assert "recipe.steps: 25 against 50" in told.err
    assert not told.out
    assert main(["eval", "compare", "a", "c", "--allow", "recipe.steps"]) == 0


@pytest.mark.parametrize("absent", ["nowhere", "."])
def test_a_folder_without_results_is_refused(folders, capsys, absent):
    assert main(["eval", "compare", "a", absent]) == 2
    assert "No such file" in capsys.readouterr().err
