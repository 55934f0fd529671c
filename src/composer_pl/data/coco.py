"""A COCO root as it lies on users' disks: 2014 and 2017 layouts, photos with and without captions.

ROOT/train2017/*.jpg             or ROOT/images/train2017/*.jpg
ROOT/annotations/captions_train2017.json
"""

import json
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from composer_pl.data.records import (
    FoundFiles,
    Record,
    SourceListing,
    clean_caption,
    require_pictures,
    some_names,
)
from composer_pl.errors import UserInputError

_YEARS = ("2017", "2014")  # a root that holds both is read in this order
_SPLIT_FOLDER = re.compile(r"(train|val|test|unlabeled)20\d\d")


def is_coco_root(found: FoundFiles) -> bool:
    """Tell whether a folder has COCO's annotation files, or nothing but its folders of photos."""
    annotations = found.root / "annotations"
    if any(next(annotations.glob(f"{kind}_*.json"), None) for kind in ("captions", "instances")):
        return True
    tops = {name.split("/")[0] for name in found.pictures}
    return bool(tops) and all(_SPLIT_FOLDER.fullmatch(top) for top in tops)


def list_coco(found: FoundFiles, split: str = "") -> SourceListing:
    """List the photos of one split with all their captions.

    Every photo in the split's folder is used, also those that no annotation mentions: their caption
    is empty. Photos that the annotations list but the disk lacks are counted in the notes.

    Args:
        found: The files below the root.
        split: `train`, `val`, or with the year, `val2014`. Empty means `train`, or `val` where
            that alone is there.

    Raises:
        UserInputError: When the split has no photos, or its captions cannot be read.
    """
    require_pictures(found)
    prefix, full_split = _find_split(found, split)
    annotation_file = found.root / "annotations" / f"captions_{full_split}.json"
    captions: dict[str, tuple[str, ...]] = {}
    if annotation_file.is_file():
        captions = read_coco_captions(annotation_file)
    names = [name for name in found.pictures if name.startswith(prefix)]
    records = [
        Record(
            path=str(found.root / name),
            name=name,
            captions=captions.get(PurePosixPath(name).name, ()),
        )
        for name in names
    ]
    notes = []
    missing = sorted(captions.keys() - {PurePosixPath(name).name for name in names})
    if missing:
        notes.append(
            f"{len(missing)} photos of {annotation_file.name} are not there: {some_names(missing)}"
        )
    blank = sum(not record.captions for record in records)
    if blank:
        notes.append(f"{blank} of {len(records)} photos of {full_split} without a caption")
    return SourceListing(records=tuple(records), kind="coco", notes=tuple(notes))


def read_coco_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a `captions_*.json` into captions by file name, in the order of the file.

    Raises:
        UserInputError: When it is not a COCO caption file.
    """
    try:
        content = json.loads(path.read_bytes())
        by_id: dict[int, list[str]] = defaultdict(list)
        for annotation in content["annotations"]:
            if caption := clean_caption(annotation["caption"]):
                by_id[annotation["image_id"]].append(caption)
        return {
            PurePosixPath(image["file_name"]).name: tuple(by_id.get(image["id"], ()))
            for image in content["images"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserInputError(
            f"Reading COCO captions from {path}: expected the lists `images` and `annotations`, "
            f"found {type(error).__name__}: {error}. Next: fetch the file again."
        ) from error


def _find_split(found: FoundFiles, split: str) -> tuple[str, str]:
    """Return the prefix of a split's photos and its name with the year."""
    folders = {str(PurePosixPath(name).parent) for name in found.pictures}
    parts = [split] if split else ["train", "val"]
    candidates = [f"{part}{year}" for part in parts for year in ("", *_YEARS)]
    for candidate in candidates:
        for prefix in (candidate, f"images/{candidate}"):
            if prefix in folders:
                return f"{prefix}/", candidate
    # Pictures deeper down are no photos, such as the maps depth/val and ids/val of scenes.
    photos = sorted(f for f in folders if f != "." and "/" not in f.removeprefix("images/"))
    step = "correct the root"
    if photos:
        there = photos[0].removeprefix("images/")
        step += (
            f", or name a split that is there: to `eval` as --data.split {there}, to `fit` as "
            f"--data.sources '[{{root: {found.root}, split: {there}}}]'"
        )
    raise UserInputError(
        f"Reading COCO in {found.root}: expected photos in one of {', '.join(candidates)}, found "
        f"{some_names(photos, limit=6) or 'no folder of photos'}. Next: {step}."
    )
