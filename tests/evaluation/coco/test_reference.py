"""The pictures of a split as networks see them."""

import numpy as np
import pytest
import torch
from coco_fakes import FakeFeatures, write_root
from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.reference import Reference
from composer_pl.evaluation.coco.split import read_split


@pytest.fixture
def reference(tmp_path):
    write_root(tmp_path / "coco", 5)
    split = read_split(tmp_path / "coco")
    made = Reference(folder=tmp_path / "reference", split=split, side=20, block=2)
    made.begin()
    return made


def test_pictures_are_cut_to_the_middle_and_resized_by_pillow(reference):
    pictures, digests = reference.pictures(reference.blocks()[0])
    assert len(digests) == 2
    for picture, name in zip(pictures, reference.split.pictures[:2], strict=True):
        with Image.open(reference.split.folder / name) as image:
            left = (image.width - 40) // 2
            box = (left, 0, left + 40, 40)
            expected = np.asarray(image.resize((20, 20), Image.Resampling.BICUBIC, box=box))
        assert np.array_equal(picture.permute(1, 2, 0).numpy(), expected)


def test_the_digest_is_of_names_and_files(reference, tmp_path):
    scorer = FakeFeatures()
    for block in reference.blocks():
        reference.work(block, [scorer])
    numbers, digest = reference.numbers(scorer)
    assert numbers.shape == (5, 12)
    path = reference.split.folder / reference.split.pictures[4]
    Image.new("RGB", (40, 40), "red").save(path)
    other = Reference(folder=tmp_path / "other", split=reference.split, side=20, block=3)
    other.begin()
    for block in other.blocks():
        other.work(block, [scorer])
    again, changed = other.numbers(scorer)
    assert changed != digest
    assert torch.equal(again[:4], numbers[:4])


def test_a_broken_file_is_named(reference):
    path = reference.split.folder / reference.split.pictures[0]
    path.write_text("no picture")
    with pytest.raises(UserInputError, match=path.name):
        reference.work(reference.blocks()[0], [FakeFeatures()])


def test_another_side_is_another_reference(reference):
    with pytest.raises(UserInputError, match="side 20, not 24"):
        Reference(folder=reference.folder, split=reference.split, side=24, block=2).begin()
