"""The caption list: one a picture, decided by a seed, kept by id with a digest."""

import json
from dataclasses import replace

import pytest
from coco_fakes import write_annotations, write_root

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.captions import CaptionList, choose_captions, stored_captions
from composer_pl.evaluation.coco.split import Caption, read_split


@pytest.fixture
def split(tmp_path):
    write_root(tmp_path, 30, per_picture=5)
    return read_split(tmp_path)


def test_a_list_has_one_caption_of_each_picture(split):
    captions = choose_captions(split).captions
    assert len({caption.image_id for caption in captions}) == len(captions) == 30
    assert set(captions) <= set(split.captions)


def test_fewer_captions_are_the_first_ones_of_more(split):
    assert choose_captions(split, count=7).captions == choose_captions(split).captions[:7]


def test_the_seed_decides_pictures_and_captions(split):
    one, same, other = (choose_captions(split, count=10, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one.digest == same.digest
    assert one.digest != other.digest
    assert {c.image_id for c in one.captions} != {c.image_id for c in other.captions}


def test_every_caption_of_a_picture_can_be_chosen(split):
    """Over many seeds, each of the five is."""
    place = {caption.id // 1000 for seed in range(20) for caption in
             choose_captions(split, seed=seed).captions}  # fmt: skip
    assert place == {1, 2, 3, 4, 5}


def test_a_stored_list_is_read_again(split, tmp_path):
    captions = choose_captions(split, count=12, seed=3)
    captions.save(tmp_path / "captions.json")
    stored = stored_captions(tmp_path / "captions.json", split)
    assert stored == captions
    content = json.loads((tmp_path / "captions.json").read_text())
    assert content["sha256"] == captions.digest
    assert not any(caption.text in json.dumps(content) for caption in captions.captions)


def test_the_digest_is_of_ids_and_texts_in_order():
    pair = (Caption(id=1, image_id=2, text="a"), Caption(id=3, image_id=4, text="b"))
    # printf '2\t1\ta\n4\t3\tb\n' | sha256sum
    known = "0b0dd3422ff09d0de4327da30541b67e475f4853d3705d28b19ee339a9a1349e"
    assert CaptionList(pair, 0, "val2014").digest == known
    assert CaptionList(pair, 9, "elsewhere").digest == known
    assert CaptionList(pair[::-1], 0, "val2014").digest != known


@pytest.mark.parametrize("count", [0, 31])
def test_more_captions_than_pictures_are_refused(split, count):
    with pytest.raises(UserInputError, match=f"at most 30.*found {count}"):
        choose_captions(split, count=count)


def test_pictures_without_any_caption_are_told_as_such(split):
    silent = replace(split, captions=())
    with pytest.raises(UserInputError, match=r"found none.*annotations/captions_val"):
        choose_captions(silent)


def test_a_list_of_other_annotations_is_refused(split, tmp_path):
    path = tmp_path / "captions.json"
    choose_captions(split, count=4).save(path)
    content = json.loads(path.read_text())
    for change, told in (
        ({"ids": [[1, 2]]}, "2 of picture 1"),
        ({"ids": [content["ids"][0], content["ids"][0]]}, "a picture twice"),
        ({"ids": []}, "found none"),
        ({"sha256": "0" * 64}, "say something else"),
        ({"ids": None}, "expected a list"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(UserInputError, match=told):
            stored_captions(path, split)


def test_a_changed_text_is_noticed(split, tmp_path):
    path = tmp_path / "captions.json"
    choose_captions(split).save(path)
    content = json.loads((tmp_path / "annotations" / "captions_val2014.json").read_text())
    for annotation in content["annotations"]:
        annotation["caption"] += " more"
    write_annotations(tmp_path, content)
    with pytest.raises(UserInputError, match="say something else"):
        stored_captions(path, read_split(tmp_path))
