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
    assert "allowed, recipe.steps: 25 against 50" in capsys.readouterr().out


def test_rows_of_one_measure_are_told_apart_and_nothing_is_dropped_silently(folders, capsys):
    """Two guidances in A, of which B has one, and a measure that B alone has."""
    for folder, measure, steps in (
        ("a", "FID, tiny", 50),
        ("b", "FID, tiny", 50),
        ("b", "KID, tiny", 50),
    ):
        number = Measurement(
            protocol="coco-fid",
            measure=measure,
            value=1.0,
            interval="none: one generation seed",
            count=30,
            of_protocol=False,
            settings={"model": {"base": folder}, "recipe": {"steps": steps}},
        )
        append_measurements(f"{folder}/results.jsonl", [number])
    assert main(["eval", "compare", "a", "b"]) == 0
    told = capsys.readouterr().out
    assert "FID, tiny, interval over generation seeds, steps 25 (not the protocol)" in told
    assert "only in B: coco-fid: KID, tiny" in told
    assert "only in A" not in told


def test_long_intervals_do_not_run_into_each_other(folders, capsys):
    for folder in "ab":
        number = Measurement(
            protocol="coco-fid",
            measure="KID, tiny",
            value=0.2968,
            low=-0.06679,
            high=0.6603,
            interval="over subsets of pictures, one standard deviation",
            count=30,
            of_protocol=False,
        )
        append_measurements(f"{folder}/results.jsonl", [number])
    assert main(["eval", "compare", "a", "b"]) == 0
    both = "  ".join(["0.2968 [-0.06679, 0.6603]"] * 2)
    assert f"{both}  intervals overlap (over subsets" in capsys.readouterr().out


@pytest.mark.parametrize("absent", ["nowhere", "."])
def test_a_folder_without_results_is_refused(folders, capsys, absent):
    assert main(["eval", "compare", "a", absent]) == 2
    assert "No such file" in capsys.readouterr().err
