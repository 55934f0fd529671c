"""Reading a split of a COCO root."""

import pytest
from coco_fakes import write_annotations, write_root

from composer_pl.data.scenes.export import ExportSettings, export_scenes
from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.split import read_split


def test_all_pictures_and_captions_are_read(tmp_path):
    write_root(tmp_path, 5, per_picture=3)
    split = read_split(tmp_path)
    assert split.name == "val2014"
    assert len(split.pictures) == 5
    assert list(split.pictures) == sorted(split.pictures)
    assert len(split.captions) == 15
    assert len({caption.id for caption in split.captions}) == 15
    assert split.blank == split.absent == ()


def test_val2014_comes_before_others_unless_one_is_named(tmp_path):
    for name, count in (("train", 2), ("val2017", 3), ("val2014", 4)):
        write_root(tmp_path, count, split=name)
    assert len(read_split(tmp_path).pictures) == 4
    assert len(read_split(tmp_path, "train").pictures) == 2


def test_pictures_below_images_are_found(tmp_path):
    write_root(tmp_path, 3)
    (tmp_path / "images").mkdir()
    (tmp_path / "val2014").rename(tmp_path / "images" / "val2014")
    assert len(read_split(tmp_path).pictures) == 3


def test_rendered_scenes_are_a_root(tmp_path):
    export_scenes(tmp_path / "scenes", ExportSettings(train=2, size=32))
    split = read_split(tmp_path / "scenes")
    assert (split.name, len(split.pictures), len(split.captions)) == ("train", 2, 10)


def test_what_the_disk_or_the_captions_lack_is_known(tmp_path):
    content = write_root(tmp_path, 4, per_picture=1)
    content["annotations"][0]["caption"] = "  \n"
    del content["annotations"][1]
    write_annotations(tmp_path, content)
    (tmp_path / "val2014" / content["images"][3]["file_name"]).unlink()
    split = read_split(tmp_path)
    assert split.blank == tuple(image["file_name"] for image in content["images"][:2])
    assert split.absent == (content["images"][3]["file_name"],)
    assert len(split.captions) == 2


def double_caption(content):
    content["annotations"].append(content["annotations"][0])


def double_picture(content):
    content["images"].append(content["images"][0])


def stranger(content):
    content["annotations"][0]["image_id"] = 7


def no_list(content):
    del content["annotations"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (double_caption, "duplicated captions: 1001"),
        (double_picture, "duplicated pictures: 10"),
        (stranger, "captions of 7, which is none"),
        (no_list, "the lists `images` and `annotations`"),
    ],
)
def test_damaged_annotations_are_refused(tmp_path, change, told):
    content = write_root(tmp_path, 3)
    change(content)
    write_annotations(tmp_path, content)
    with pytest.raises(UserInputError, match=told):
        read_split(tmp_path)


def test_absent_things_are_named(tmp_path):
    with pytest.raises(UserInputError, match=r"--data\.root"):
        read_split(tmp_path / "absent")
    with pytest.raises(UserInputError, match="no folder"):
        read_split(tmp_path)
    write_root(tmp_path, 2, split="val2017")
    with pytest.raises(UserInputError, match=r"val2014, found annotations, val2017"):
        read_split(tmp_path, "val2014")
    (tmp_path / "annotations" / "captions_val2017.json").unlink()
    with pytest.raises(UserInputError, match="fetch the annotations"):
        read_split(tmp_path)
    for path in (tmp_path / "val2017").iterdir():
        path.unlink()
    with pytest.raises(UserInputError, match="expected pictures, found none"):
        read_split(tmp_path)
