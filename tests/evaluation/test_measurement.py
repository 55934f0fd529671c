"""Measurements on disk, and what keeps two of them apart."""

import dataclasses

import pytest

from composer_pl.errors import UserInputError
from composer_pl.evaluation.measurement import (
    Measurement,
    append_measurements,
    differences,
    read_measurements,
)


def measurement(**changes):
    settings = {
        "model": {"base": "abc"},
        "recipe": {"steps": 25, "guidance": 3.0, "conditions": {}},
        "context": {"device": "cpu"},
    }
    told = {
        "protocol": "coco-fid",
        "measure": "FID",
        "value": 9.25,
        "low": 9.0,
        "high": 9.5,
        "interval": "over generation seeds",
        "count": 30_000,
        "of_protocol": True,
        "settings": settings,
    }
    return Measurement(**{**told, **changes})


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "results.jsonl"
    first = [measurement(), measurement(value=0.1 + 0.2, low=None, high=None, interval="one seed")]
    append_measurements(path, first)
    append_measurements(path, [measurement(count=3)])
    assert read_measurements(path) == [*first, measurement(count=3)]


def test_a_number_found_again_is_written_once_and_one_found_otherwise_too(tmp_path):
    path = tmp_path / "results.jsonl"
    for _ in range(2):
        append_measurements(path, [measurement(), measurement(value=9.5)])
    append_measurements(path, [measurement(count=3)])
    assert read_measurements(path) == [
        measurement(), measurement(value=9.5), measurement(count=3)
    ]  # fmt: skip


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path):
    path = tmp_path / "results.jsonl"
    append_measurements(path, [measurement()])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    append_measurements(path, [measurement(count=3)])
    assert [found.count for found in read_measurements(path)] == [30_000, 3]


def test_model_and_context_may_differ_and_nothing_else():
    one = measurement()
    other = measurement(
        value=7.0,
        low=None,
        high=None,
        settings={**one.settings, "model": {"base": "else"}, "context": {"device": "cuda"}},
    )
    assert differences(one, other) == []
    steps = {**one.settings, "recipe": {"steps": 50, "guidance": 3.0, "conditions": {}}}
    assert differences(one, measurement(settings=steps)) == ["recipe.steps: 25 against 50"]
    assert differences(one, measurement(settings=steps), allowed=["recipe"]) == []
    assert differences(one, measurement(settings=steps), allowed=["rec"]) != []


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "control"},
        {"measure": "KID"},
        {"count": 29_999},
        {"of_protocol": False},
        {"interval": "over pictures"},
        {"settings": {}},
    ],
)
def test_every_part_of_the_manifest_counts(changes):
    changed = next(iter(changes))
    said = differences(measurement(), measurement(**changes))
    assert said
    if changed != "settings":
        assert said[0].startswith(f"{changed}: ")


def test_a_setting_that_one_side_lacks_is_a_difference():
    one = measurement()
    richer = {**one.settings, "prior": {"steps": 64}}
    assert differences(one, measurement(settings=richer)) == ["prior.steps: nothing against 64"]


@pytest.mark.parametrize(
    "changes",
    [
        {"value": float("nan"), "low": None, "high": None},
        {"low": 9.3},
        {"low": None},
        {"count": 0},
        {"settings": {"model": object()}},
    ],
)
def test_what_cannot_be_stated_is_refused(changes):
    with pytest.raises(UserInputError, match="Stating the measurement 'FID'"):
        measurement(**changes)


@pytest.mark.parametrize(
    ("text", "told"),
    [("not json\n", "line 1"), ("{}\n", "other entries"), ("[1]\n", "other entries")],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, text, told):
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(UserInputError, match=told):
        read_measurements(path)


def test_a_damaged_number_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    line = measurement().to_json().replace('"value": 9.25', '"value": "nine"')
    path.write_text(f"{measurement().to_json()}\n{line}\n")
    with pytest.raises(UserInputError, match="line 2"):
        read_measurements(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="absent"):
        read_measurements(tmp_path / "absent")


def test_a_measurement_does_not_share_its_settings():
    settings = {"recipe": {"steps": 25}}
    made = measurement(settings=settings)
    settings["recipe"]["steps"] = 1
    assert made.settings["recipe"]["steps"] == 25
    assert hash(made) == hash(dataclasses.replace(made))
