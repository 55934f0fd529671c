import json
from pathlib import Path

import pytest
from PIL import Image

from composer_pl.data.class_folder import read_class_names
from composer_pl.data.sources import SourceConfig, list_source
from composer_pl.errors import ConfigError, UserInputError


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40)).save(root / name, "JPEG")


def captions(root: Path, **options: object) -> dict[str, tuple[str, ...]]:
    listing = list_source(SourceConfig(root=str(root), **options))
    return {record.name: record.captions for record in listing.records}


def test_a_folder_is_read_at_any_depth_with_the_captions_beside(tmp_path: Path):
    put(tmp_path, "b/two.JPG", "a.jpg", ".hidden.jpg", "none.jpeg", "blank.jpg")
    (tmp_path / "a.txt").write_text("\ufeffa dog\n\n  on\tgrass \n", encoding="utf-8")
    (tmp_path / "b" / "two.txt").write_bytes(b"caf\xe9 \x00" + b"x" * 9000)
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "lost.txt").write_text("nothing to see")
    listing = list_source(SourceConfig(root=str(tmp_path)))
    found = {record.name: record.captions for record in listing.records}
    assert listing.kind == "folder"
    assert list(found) == ["a.jpg", "b/two.JPG", "blank.jpg", "none.jpeg"]
    assert found["a.jpg"] == ("a dog", "on grass")
    assert found["b/two.JPG"][0].startswith("caf\ufffd x")
    assert len(found["b/two.JPG"][0]) == 2000
    assert found["blank.jpg"] == found["none.jpeg"] == ()
    assert listing.notes == (
        "1 captions without pictures: lost.txt",
        "2 of 4 pictures without a caption",
    )


def test_class_folders_speak_their_names(tmp_path: Path):
    put(tmp_path, "t-shirt/1.jpg", "sun_flower/deep/2.jpg")
    assert captions(tmp_path) == {
        "sun_flower/deep/2.jpg": ("a photo of a sun flower",),
        "t-shirt/1.jpg": ("a photo of a t-shirt",),
    }
    assert captions(tmp_path, caption_template="{name}!")["t-shirt/1.jpg"] == ("t-shirt!",)
    with pytest.raises(ConfigError, match=r"\{name\}"):
        captions(tmp_path, caption_template="no place")


def test_a_split_above_the_classes_is_stepped_into(tmp_path: Path):
    put(tmp_path, "train/cat/1.jpg", "val/cat/2.jpg", "val/dog/3.jpg")
    assert captions(tmp_path) == {"train/cat/1.jpg": ("a photo of a cat",)}
    assert list(captions(tmp_path, split="val")) == ["val/cat/2.jpg", "val/dog/3.jpg"]
    with pytest.raises(UserInputError, match="train, val"):
        captions(tmp_path, split="test")


def test_wordnet_ids_take_names_from_file_names_or_a_mapping(tmp_path: Path):
    put(
        tmp_path,
        "n01440764/n01440764_tench.JPEG",
        "n03777568/n03777568_Model_T.jpg",
        "n01443537/n01443537_10026.JPEG",
    )
    listing = list_source(SourceConfig(root=str(tmp_path)))
    assert [record.captions for record in listing.records] == [
        ("a photo of a tench",),
        (),
        ("a photo of a Model T",),
    ]
    assert len(listing.notes) == 1
    assert "n01443537" in listing.notes[0]
    mapping = tmp_path / "names.map"
    mapping.write_text("n01443537 goldfish, Carassius auratus\nn01440764 fish\n")
    found = captions(tmp_path, class_names=str(mapping))
    assert found["n01443537/n01443537_10026.JPEG"] == ("a photo of a goldfish",)
    assert found["n01440764/n01440764_tench.JPEG"] == ("a photo of a fish",)


def test_wordnet_ids_take_names_from_the_mapping_that_lies_above_a_copy_of_imagenet(
    tmp_path: Path,
):
    classes = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    put(classes, "train/n01440764/n01440764_10026.JPEG", "train/n01443537/n01443537_2.JPEG")
    assert not any(captions(classes).values())
    (tmp_path / "ILSVRC" / "words.txt").write_text("some notes\nof the user\n")
    (tmp_path / "LOC_synset_mapping.txt").write_text(
        "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n"
    )
    for root in (classes, classes / "train"):
        assert sorted(captions(root).values()) == [
            ("a photo of a goldfish",),
            ("a photo of a tench",),
        ]
    own = tmp_path / "own.txt"
    own.write_text("n01440764 fish\n")
    assert sorted(captions(classes, class_names=str(own)).values()) == [(), ("a photo of a fish",)]


def test_coco_photos_without_annotations_are_no_classes(tmp_path: Path):
    put(tmp_path, "train2017/1.jpg", "val2017/2.jpg")
    listing = list_source(SourceConfig(root=str(tmp_path)))
    assert listing.kind == "coco"
    assert [record.captions for record in listing.records] == [()]


def test_a_coco_root_of_validation_photos_alone_is_read_as_it_lies(tmp_path: Path):
    put(tmp_path, "val2014/1.jpg")
    assert list(captions(tmp_path)) == ["val2014/1.jpg"]
    with pytest.raises(UserInputError, match="split: val"):
        captions(tmp_path, split="train")


def test_a_split_that_is_not_there_names_those_that_are_and_both_options(tmp_path: Path):
    """Maps of scenes, `depth/train` and `ids/train`, are no photos that one could ask for."""
    put(tmp_path, "train/1.png", "depth/train/1.png", "ids/train/1.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_train.json").write_text(
        '{"images": [], "annotations": []}'
    )
    with pytest.raises(UserInputError) as caught:
        captions(tmp_path, split="val")
    told = str(caught.value)
    assert ", found train. Next: " in told
    assert "to `eval` as --data.split train" in told
    assert f"--data.sources '[{{root: {tmp_path}, split: train}}]'" in told
    assert list(captions(tmp_path, split="train")) == ["train/1.png"]


def test_a_coco_root_without_photos_is_to_be_corrected(tmp_path: Path):
    put(tmp_path, "depth/train/1.png")
    with pytest.raises(UserInputError, match=r"no folder of photos\. Next: correct the root\."):
        captions(tmp_path, kind="coco")


def test_class_names_are_read_in_the_common_forms(tmp_path: Path):
    forms = {
        "a.txt": "n01440764\ttench\n",
        "b.json": '{"n01440764": "tench, Tinca tinca"}',
        "c.json": '{"0": ["n01440764", "tench"]}',
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert read_class_names(tmp_path / name) == {"n01440764": "tench"}
    (tmp_path / "bad.json").write_text("{")
    for name in ("bad.json", "absent.txt"):
        with pytest.raises(UserInputError, match=name):
            read_class_names(tmp_path / name)


@pytest.mark.parametrize(
    ("split", "folder", "photo"),
    [
        ("train2017", "train2017", "000000000009.jpg"),
        ("train2014", "train2014", "COCO_train2014_000000000009.jpg"),
        ("train2017", "images/train2017", "000000000009.jpg"),
    ],
)
def test_coco_roots_of_both_years_are_found(tmp_path: Path, split: str, folder: str, photo: str):
    put(tmp_path, f"{folder}/{photo}", f"{folder}/uncaptioned.jpg")
    images = [{"id": 9, "file_name": photo}, {"id": 25, "file_name": "absent.jpg"}]
    annotations = [
        {"id": 1, "image_id": 9, "caption": "A cat. "},
        {"id": 2, "image_id": 9, "caption": "One\ncat"},
        {"id": 3, "image_id": 25, "caption": "gone"},
    ]
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / f"captions_{split}.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    listing = list_source(SourceConfig(root=str(tmp_path)))
    assert listing.kind == "coco"
    assert {record.name: record.captions for record in listing.records} == {
        f"{folder}/{photo}": ("A cat.", "One cat"),
        f"{folder}/uncaptioned.jpg": (),
    }
    assert "1 photos of captions" in listing.notes[0]
    assert "absent.jpg" in listing.notes[0]
    assert captions(tmp_path, split=split) == captions(tmp_path, split="train")
    with pytest.raises(UserInputError, match="val2017"):
        captions(tmp_path, split="val")
    file.write_text('{"images": []}')
    with pytest.raises(UserInputError, match="annotations"):
        captions(tmp_path)


def test_a_coco_root_with_instances_alone_has_photos_without_captions(tmp_path: Path):
    put(tmp_path, "val2017/1.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    assert captions(tmp_path, split="val") == {"val2017/1.jpg": ()}


def test_a_folder_without_pictures_is_named(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("captions only")
    for kind in ("auto", "folder", "classes", "coco"):
        with pytest.raises(UserInputError, match="none among 1 files"):
            captions(tmp_path, kind=kind)
    with pytest.raises(UserInputError, match="nothing there"):
        captions(tmp_path / "absent")
    with pytest.raises(UserInputError, match="a file"):
        captions(tmp_path / "notes.txt")


def test_links_in_a_circle_are_walked_once(tmp_path: Path):
    put(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert list(captions(tmp_path, kind="folder")) == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_must_be_positive(weight: float):
    with pytest.raises(ConfigError, match="positive weight"):
        SourceConfig(root="x", weight=weight)


@pytest.mark.data
def test_real_folders_have_the_counts_that_their_readme_states(real_data: Path):
    counts = {
        ("clothing", ""): ("classes", 3068),
        ("clothing/train", ""): ("classes", 3068),
        ("flowers", ""): ("classes", 2934),
        ("imagenet_sample", ""): ("classes", 619),
        ("coco", ""): ("coco", 133),
        ("coco", "val"): ("coco", 207),
    }
    for (name, split), (kind, count) in counts.items():
        listing = list_source(SourceConfig(root=str(real_data / name), split=split))
        assert (listing.kind, len(listing.records)) == (kind, count)
    sample = captions(real_data / "imagenet_sample")
    assert sample["n03777568/n03777568_Model_T.jpg"] == ("a photo of a Model T",)
    assert all(sample.values())
    train, val = captions(real_data / "coco"), captions(real_data / "coco", split="val")
    assert sum(map(bool, train.values())) == 40
    assert sum(map(len, train.values())) == 200
    assert sum(map(len, val.values())) == 1035
