"""One split of a COCO root as the protocol needs it: all pictures on disk, all captions by id."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from composer_pl.data.records import PICTURE_SUFFIXES, clean_caption, some_names
from composer_pl.errors import UserInputError

PROTOCOL_SPLIT = "val2014"
SPLITS = (PROTOCOL_SPLIT, "val2017", "val", "train")
"""Splits that are looked for when none is named, in this order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """One caption.

    Attributes:
        id: Of the caption, COCO's annotation id.
        image_id: Of its picture.
        text: White space collapsed.
    """

    id: int
    image_id: int
    text: str


@dataclass(frozen=True, kw_only=True)
class CocoSplit:
    """A split that was read.

    Attributes:
        name: Such as `val2014`.
        folder: Where its pictures lie.
        pictures: File names in that folder, sorted; those on disk, annotated or not.
        captions: All captions with a text, sorted by id.
        blank: Pictures that the annotations list without any caption, by file name.
        absent: Pictures that the annotations list and the disk lacks.
    """

    name: str
    folder: Path
    pictures: tuple[str, ...]
    captions: tuple[Caption, ...]
    blank: tuple[str, ...]
    absent: tuple[str, ...]


def read_split(root: str | Path, name: str = "") -> CocoSplit:
    """Read a split of a COCO root, in the layout of 2014, 2017 or `composer-pl scenes`.

    Args:
        root: Holds `val2014/` or `images/val2014/`, and `annotations/captions_val2014.json`.
        name: Of the split; empty takes the first of `SPLITS` that is there.

    Raises:
        UserInputError: The root, the split or its annotations are not there, or the annotations are
            damaged or list something twice.
    """
    base = Path(root)
    if not base.is_dir():
        _refuse(base, "a folder", "a file" if base.exists() else "nothing", "correct --data.root")
    wanted = (name,) if name else SPLITS
    for split in wanted:
        for folder in (base / split, base / "images" / split):
            if folder.is_dir():
                return _read(base, split, folder)
    inside = sorted(path.name for path in base.iterdir() if path.is_dir())
    _refuse(
        base,
        f"a folder of pictures {' or '.join(wanted)}",
        some_names(inside, limit=6) or "no folder",
        "correct --data.root, or name the split that is there with --split",
    )


def _read(base: Path, split: str, folder: Path) -> CocoSplit:
    pictures = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )
    if not pictures:
        _refuse(folder, "pictures", "none", "unpack the pictures of the split there")
    file = base / "annotations" / f"captions_{split}.json"
    names, captions = _read_annotations(file)
    described = {caption.image_id for caption in captions}
    there = set(pictures)
    return CocoSplit(
        name=split,
        folder=folder,
        pictures=tuple(pictures),
        captions=tuple(captions),
        blank=tuple(sorted(file for image, file in names.items() if image not in described)),
        absent=tuple(sorted(file for file in names.values() if file not in there)),
    )


def _read_annotations(file: Path) -> tuple[dict[int, str], list[Caption]]:
    """Picture id -> file name, and captions that have a text."""
    try:
        content = json.loads(file.read_bytes())
        images = [
            (int(image["id"]), PurePosixPath(image["file_name"]).name)
            for image in content["images"]
        ]
        captions = [
            Caption(
                id=int(annotation["id"]),
                image_id=int(annotation["image_id"]),
                text=clean_caption(annotation["caption"]),
            )
            for annotation in content["annotations"]
        ]
    except OSError as error:
        _refuse(file, "captions", error.strerror or type(error).__name__, "fetch the annotations")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__}: {error}"
        _refuse(file, "the lists `images` and `annotations`", found, "fetch the file again")
    names = dict(images)
    _refuse_twice(file, "pictures", [image for image, _ in images])
    _refuse_twice(file, "captions", [caption.id for caption in captions])
    if strangers := sorted({c.image_id for c in captions} - names.keys()):
        found = f"captions of {some_names([str(image) for image in strangers])}, which is none"
        _refuse(file, "captions of listed pictures", found, "fetch the file again")
    return names, sorted((c for c in captions if c.text), key=lambda caption: caption.id)


def _refuse_twice(file: Path, what: str, ids: list[int]) -> None:
    twice = sorted(number for number, count in Counter(ids).items() if count > 1)
    if twice:
        found = f"duplicated {what}: {some_names([str(number) for number in twice])}"
        _refuse(file, f"each of the {what} once", found, "remove the repetition")


def _refuse(place: Path, expected: str, found: str, advice: str) -> NoReturn:
    raise UserInputError(
        f"Reading COCO from {place}: expected {expected}, found {found}. Next: {advice}."
    )
