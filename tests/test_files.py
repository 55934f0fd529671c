"""Files that are replaced whole or not at all."""

import pytest
import torch
from safetensors.torch import save_file

from composer_pl.files import replacing


def test_two_writers_of_one_file_have_different_places(tmp_path):
    """As on two machines with the same process number and a shared folder."""
    target = tmp_path / "record.json"
    with replacing(target) as one, replacing(target) as other:
        assert one != other
        assert one.parent == other.parent == tmp_path
        assert one.suffix == other.suffix == ".json"
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"  # left last
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path):
    target = tmp_path / "record.json"
    target.write_text("before")

    def fail():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_others_may_read_what_others_may_read_of_any_new_file(tmp_path):
    """safetensors writes files that are their owner's alone."""
    (tmp_path / "plain.txt").write_text("")
    with replacing(tmp_path / "weights.safetensors") as temporary:
        save_file({"a": torch.zeros(2)}, temporary)
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1
