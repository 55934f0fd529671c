"""Parts as a value: picking, joining, round trips, refusals."""

import pytest
import torch
from safetensors.torch import save_file

from composer_pl.composing.parts import Parts
from composer_pl.errors import UserInputError


@pytest.fixture
def parts():
    values = {"sketch": torch.rand(1, 4, 4), "color": torch.rand(3)}
    facts = {"sketch": {"settings": {"edges": "canny"}}, "color": {"agreement": {"space": "lab"}}}
    return Parts(values, {"sketch": "a.jpg", "color": "a.jpg"}, facts)


def test_the_right_side_wins_when_joining(parts):
    other = Parts({"color": torch.zeros(3)}, {"color": "b.jpg"})
    joined = parts.only("sketch") | other
    assert list(joined) == ["sketch", "color"]
    assert torch.equal((parts | other)["color"], torch.zeros(3))
    assert (parts | other).notes == {"sketch": "a.jpg", "color": "b.jpg"}


def test_only_and_drop_are_complements(parts):
    assert parts.only("color") == parts.drop("sketch")
    assert len(parts) == 2, "the original is unchanged"


def test_a_file_gives_back_the_parts(parts, tmp_path):
    parts.save(tmp_path / "p.safetensors")
    loaded = Parts.load(tmp_path / "p.safetensors")
    assert loaded == parts
    assert loaded.notes == parts.notes
    assert loaded.facts == parts.facts


def test_facts_go_with_their_values(parts):
    assert parts.only("color").facts == {"color": parts.facts["color"]}
    assert parts.drop("color").facts == {"sketch": parts.facts["sketch"]}
    by_hand = Parts({"color": torch.zeros(3)})
    assert (parts | by_hand).facts == {"sketch": parts.facts["sketch"]}
    assert (by_hand | parts).facts == parts.facts


def test_a_file_of_before_facts_loads(tmp_path):
    path = tmp_path / "p.safetensors"
    save_file({"color": torch.zeros(3)}, path, metadata={"composer_pl_notes": '{"color": "a"}'})
    loaded = Parts.load(path)
    assert (loaded.notes, loaded.facts) == ({"color": "a"}, {})


@pytest.mark.parametrize("facts", ["[1]", "3", "{", '{"color": 3}'])
def test_strange_facts_are_refused(tmp_path, facts):
    save_file({"color": torch.zeros(3)}, tmp_path / "p", metadata={"composer_pl_facts": facts})
    with pytest.raises(UserInputError, match="expected a file that `composer-pl decompose` wrote"):
        Parts.load(tmp_path / "p")


@pytest.mark.parametrize("method", ["only", "drop"])
def test_a_misspelt_name_is_answered_with_the_nearest(parts, method):
    with pytest.raises(UserInputError, match="'sketsh' among sketch, color; did you mean 'sketch'"):
        getattr(parts, method)("sketsh")


@pytest.mark.parametrize("notes", ["[1]", "3", "{"])
def test_strange_notes_are_refused(tmp_path, notes):
    save_file({"color": torch.zeros(3)}, tmp_path / "p", metadata={"composer_pl_notes": notes})
    with pytest.raises(UserInputError, match="expected a file that `composer-pl decompose` wrote"):
        Parts.load(tmp_path / "p")


def test_the_weights_of_a_model_are_no_parts(tmp_path):
    save_file({"backbone.stem.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(UserInputError, match=r"'backbone\.stem\.weight', which name no condition"):
        Parts.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"0123456789abcdef"])
def test_a_file_that_holds_no_parts_is_refused(tmp_path, content):
    path = tmp_path / "p.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserInputError, match="expected a file that `composer-pl decompose` wrote"):
        Parts.load(path)
