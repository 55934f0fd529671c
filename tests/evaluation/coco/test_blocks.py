"""Blocks: whole or absent, each row once, whoever does the work."""

import errno
import json
import os

import pytest
import torch

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.blocks import (
    Block,
    Shard,
    begin,
    blocks_of,
    read_pictures,
    read_rows,
    sweep,
    write_pictures,
    write_rows,
)

PICTURES = torch.randint(
    0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
NAMES = ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 200])
def test_blocks_hold_every_row_once_and_no_other(count):
    rows = [row for block in blocks_of(count, size=32) for row in range(block.start, block.stop)]
    assert rows == list(range(count))


def test_shards_are_read_from_one():
    assert Shard.parse("2/4") == Shard(1, 4)
    for text in ("0/4", "5/4", "1", "a/b", "-1/2", "1/2/3"):
        with pytest.raises(UserInputError, match="such as 2/4"):
            Shard.parse(text)


def test_pictures_come_back_as_they_were(tmp_path):
    block = Block(7, 0, 3)
    write_pictures(tmp_path, block, NAMES, PICTURES)
    assert sorted(path.name for path in (tmp_path / "000007").iterdir()) == NAMES
    assert torch.equal(read_pictures(tmp_path, block, NAMES), PICTURES)


def test_a_block_that_was_not_finished_is_absent(tmp_path, monkeypatch):
    """Killed between two pictures, nothing has the block's name; the next one writes all of it."""
    block, seen = Block(0, 0, 3), []

    def fail_at_second(descriptor):
        seen.append(descriptor)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail_at_second)
    with pytest.raises(KeyboardInterrupt):
        write_pictures(tmp_path, block, NAMES, PICTURES)
    assert not (tmp_path / "000000").exists()
    assert list(tmp_path.iterdir())
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())
    write_pictures(tmp_path, block, NAMES, PICTURES)
    assert torch.equal(read_pictures(tmp_path, block, NAMES), PICTURES)


def test_a_block_that_another_process_wrote_is_kept(tmp_path):
    write_pictures(tmp_path, Block(0, 0, 3), NAMES, PICTURES)
    write_pictures(tmp_path, Block(0, 0, 3), NAMES, 255 - PICTURES)
    assert torch.equal(read_pictures(tmp_path, Block(0, 0, 3), NAMES), PICTURES)
    assert [path.name for path in tmp_path.iterdir()] == ["000000"]


def test_a_block_that_is_swept_while_it_is_written_is_the_rivals(tmp_path, monkeypatch):
    """Another process had the block first, finished the run and swept; this one goes on."""
    block, sync = Block(0, 0, 3), os.fsync
    write_pictures(tmp_path, block, NAMES, PICTURES)

    def swept(descriptor):
        sweep(tmp_path)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", swept)
    write_pictures(tmp_path, block, NAMES, 255 - PICTURES)
    assert torch.equal(read_pictures(tmp_path, block, NAMES), PICTURES)
    path, ids = tmp_path / "net" / "000000.safetensors", torch.tensor([1, 2])
    monkeypatch.undo()
    write_rows(path, ids, torch.zeros(2, 3))
    monkeypatch.setattr(os, "fsync", lambda _: sweep(path.parent))
    write_rows(path, ids, torch.ones(2, 3))
    assert torch.equal(read_rows(path, ids)[0], torch.zeros(2, 3))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        write_rows(path, ids, torch.ones(2, 3))


def test_processes_of_one_number_do_not_meet(tmp_path, monkeypatch):
    """Two machines share the folder, and both call their process 7."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    seen, sync = [], os.fsync

    def rival(descriptor):
        sync(descriptor)
        if not seen:
            seen.append(1)
            write_pictures(tmp_path, Block(0, 0, 3), NAMES, PICTURES)

    monkeypatch.setattr(os, "fsync", rival)
    write_pictures(tmp_path, Block(0, 0, 3), NAMES, PICTURES)
    assert torch.equal(read_pictures(tmp_path, Block(0, 0, 3), NAMES), PICTURES)
    assert [path.name for path in tmp_path.iterdir()] == ["000000"]


def test_a_block_that_the_disk_does_not_take_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_pictures(tmp_path, Block(0, 0, 3), NAMES, PICTURES)
    assert not list(tmp_path.iterdir())


def test_a_missing_or_damaged_picture_is_named(tmp_path):
    write_pictures(tmp_path, Block(0, 0, 3), NAMES, PICTURES)
    (tmp_path / "000000" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserInputError, match=r"000000/b\.png"):
        read_pictures(tmp_path, Block(0, 0, 3), NAMES)
    with pytest.raises(UserInputError, match=r"d\.png"):
        read_pictures(tmp_path, Block(0, 0, 3), ["a.png", "d.png"])


def test_rows_come_back_with_their_notes(tmp_path):
    ids, values = torch.tensor([4, 2]), torch.tensor([[1.5, -2.0], [0.25, 3.0]])
    write_rows(tmp_path / "net" / "000000.safetensors", ids, values, {"files": "x"})
    found, notes = read_rows(tmp_path / "net" / "000000.safetensors", ids)
    assert torch.equal(found, values)
    assert notes == {"files": "x"}


def test_rows_of_other_pictures_are_refused(tmp_path):
    path = tmp_path / "000000.safetensors"
    write_rows(path, torch.tensor([1, 2]), torch.zeros(2, 3))
    for ids in ([2, 1], [1, 2, 3], [1]):
        with pytest.raises(UserInputError, match="rows of other pictures"):
            read_rows(path, torch.tensor(ids))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserInputError, match="Reading numbers"):
        read_rows(path, torch.tensor([1, 2]))
    with pytest.raises(UserInputError, match="absent"):
        read_rows(tmp_path / "absent", torch.tensor([1, 2]))


def test_a_folder_is_gone_on_with_only_for_the_same_manifest(tmp_path):
    begin(tmp_path / "f", "m.json", {"a": (1, 2), "b": None}, doing="Drawing")
    begin(tmp_path / "f", "m.json", {"b": None, "a": [1, 2]}, doing="Drawing")
    assert json.loads((tmp_path / "f" / "m.json").read_text()) == {"a": [1, 2], "b": None}
    with pytest.raises(UserInputError, match=r"Drawing: .* found b null, not 3; c absent, not 4"):
        begin(tmp_path / "f", "m.json", {"a": [1, 2], "b": 3, "c": 4}, doing="Drawing")
    (tmp_path / "f" / "m.json").write_text("{")
    with pytest.raises(UserInputError, match="no manifest that can be read"):
        begin(tmp_path / "f", "m.json", {"a": 1}, doing="Drawing")


def test_what_differs_deep_in_a_manifest_is_named(tmp_path):
    begin(tmp_path, "m.json", {"recipe": {"steps": 25, "eta": 0.0}}, doing="Drawing")
    with pytest.raises(UserInputError, match=r"found recipe\.steps 25, not 50 in m\.json"):
        begin(tmp_path, "m.json", {"recipe": {"steps": 50, "eta": 0.0}}, doing="Drawing")
