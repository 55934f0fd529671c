"""Settings of conditions as a record tells them."""

import hashlib

import pytest

from composer_pl.cli.settings import identified, parse_chosen, parse_settings
from composer_pl.errors import UserInputError


def test_a_file_is_told_by_name_and_digest_and_the_rest_as_it_is(tmp_path):
    weights = tmp_path / "edges.safetensors"
    weights.write_bytes(b"weights")
    given = parse_settings(
        [f"sketch.weights_file={weights}", "sketch.canvas=128", "sketch.edges=canny", "color.x=[1]"]
    )
    assert identified(given) == {
        "sketch": {
            "weights_file": f"edges.safetensors, sha256 {hashlib.sha256(b'weights').hexdigest()}",
            "canvas": 128,
            "edges": "canny",
        },
        "color": {"x": [1]},
    }


def test_the_same_file_in_another_place_is_told_alike(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "w.bin").write_bytes(b"w")
    one, other = (
        identified({"sketch": {"weights_file": str(tmp_path / place / "w.bin")}})
        for place in ("a", "b")
    )
    assert one == other


def test_parts_are_chosen_by_name_or_by_none():
    assert parse_chosen(None, "--keep") is None, "not given: the default"
    assert parse_chosen("none", "--keep") == parse_chosen(" none , ", "--keep") == []
    assert parse_chosen("sketch, color,sketch", "--keep") == ["sketch", "color"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "no name"), (" , ", "no name"), ("sketch,none", "sketch and none")],
)
def test_what_chooses_parts_is_names_or_none(text, found):
    with pytest.raises(UserInputError) as caught:
        parse_chosen(text, "--keep")
    assert str(caught.value).startswith(f"Reading --keep {text!r}: expected names of parts")
    assert f"found {found}. Next: " in str(caught.value)
