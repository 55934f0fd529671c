"""Tables of obedience over guidance."""

import sys
from pathlib import Path

import pytest

from composer_pl.errors import UserInputError
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement, append_measurements

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "control"))

import over_guidance


def number(measure, value, guidance, *, half=None, steps=12):
    return Measurement(
        protocol="control",
        measure=measure,
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        interval="over pictures",
        count=48,
        of_protocol=True,
        settings={
            "recipe": {"guidance": guidance, "steps": steps},
            "condition": "sketch",
            "independent": "own extractor" not in measure,
        },
    )


def write_run(folder, guidance, way, *, steps=12):
    folder.mkdir()
    made = [
        number("sketch by own extractor: way", 0.99, guidance, steps=steps),
        number("sketch by outlines: way", way, guidance, half=0.125, steps=steps),
        number("sketch by crests: way", 0.5, guidance, steps=steps),
        number("sketch by outlines: way, all given", way + 0.25, guidance, steps=steps),
        number("sketch: variety", 2 * way, guidance, steps=steps),
    ]
    append_measurements(folder / "results.jsonl", made)
    return folder


def test_runs_become_columns_in_the_order_of_their_guidance(tmp_path):
    folders = [write_run(tmp_path / "b", 3.0, 0.5), write_run(tmp_path / "a", 1.0, 0.25)]
    runs = over_guidance.read_runs(folders)
    names = over_guidance.judged(next(iter(runs.values())))
    assert names == ["sketch by outlines"]  # neither the extractor nor a second judge
    table = over_guidance.rows(runs, over_guidance.ALONE, names)
    assert table is not None
    assert list(table.columns) == ["condition and judge", "guidance 1", "guidance 3"]
    assert [list(row) for row in table.rows] == [
        ["sketch by outlines", Interval(0.25, 0.125, 0.375), Interval(0.5, 0.375, 0.625)]
    ]
    whole = over_guidance.rows(runs, over_guidance.WHOLE, names)
    assert whole is not None
    assert whole.rows[0][2] == Interval(0.75, 0.75, 0.75)
    cost = dict((row[0], list(row[1:])) for row in over_guidance.costs(runs, names).rows)
    assert cost["variety"] == [0.5, 1.0]
    assert cost["recall"] == [None, None]
    assert over_guidance.plot(runs, names).series == {"sketch": [(1.0, 0.25), (3.0, 0.5)]}


def test_runs_that_differ_in_more_are_refused(tmp_path):
    folders = [write_run(tmp_path / "a", 1.0, 0.5), write_run(tmp_path / "b", 3.0, 0.5, steps=9)]
    with pytest.raises(UserInputError, match=r"recipe\.steps: 12 against 9"):
        over_guidance.read_runs(folders)


def test_one_guidance_twice_is_refused(tmp_path):
    folders = [write_run(tmp_path / "a", 1.0, 0.5), write_run(tmp_path / "b", 1.0, 0.5)]
    with pytest.raises(UserInputError, match="guidance 1 twice"):
        over_guidance.read_runs(folders)
