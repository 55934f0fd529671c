"""Class folders, the layout of ImageNet: the folder's name becomes the caption."""

import contextlib
import json
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from composer_pl.data.records import (
    FoundFiles,
    Record,
    SourceListing,
    require_pictures,
    some_names,
)
from composer_pl.errors import ConfigError, UserInputError

DEFAULT_TEMPLATE = "a photo of a {name}"
KNOWN_MAPPINGS = (
    "LOC_synset_mapping.txt",
    "synset_words.txt",
    "words.txt",
    "imagenet_class_index.json",
)
"""Files that come with copies of ImageNet and WordNet and map ids to names."""
SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "test", "testing")

_WORDNET_ID = re.compile(r"n\d{8}")


def list_class_folders(
    found: FoundFiles,
    split: str = "",
    *,
    template: str = DEFAULT_TEMPLATE,
    class_names: Path | None = None,
) -> SourceListing:
    """List pictures by class; a class is the first folder below the root, or below the split.

    A folder named by a WordNet id (`n01440764`) takes its name from `class_names`, else from files
    of the form `n01440764_tench.JPEG`, else from a mapping that is handed round with ImageNet
    (`KNOWN_MAPPINGS`) in the root or a folder above it; without any its captions are empty.

    Args:
        found: The files below the root.
        split: Folder between the root and the classes; empty takes `train` where the folders below
            the root are splits, and the root itself otherwise.
        template: The caption, with `{name}` where the class goes.
        class_names: File that maps folder names to names, see `read_class_names`.

    Raises:
        UserInputError: When there is no picture, or no such split.
        ConfigError: When the template has no place for the name.
    """
    if "{name}" not in template or template.count("{") != 1 or template.count("}") != 1:
        raise ConfigError(
            f"Reading class folders in {found.root}: expected a caption template with {{name}} in "
            f"it once, found {template!r}. Next: correct caption_template under data.sources, "
            f"for instance {DEFAULT_TEMPLATE!r}."
        )
    require_pictures(found)
    names = read_class_names(class_names) if class_names is not None else {}
    prefix = _split_prefix(found, split)
    by_class: dict[str, list[str]] = defaultdict(list)
    for name in found.pictures:
        if name.startswith(prefix):
            parts = name[len(prefix) :].split("/")
            by_class[parts[0] if len(parts) > 1 else ""].append(name)
    records, nameless = [], []
    spoken_names = {f: _spoken_name(f, pictures, names) for f, pictures in by_class.items()}
    if class_names is None and not all(spoken_names.values()):
        known = find_known_names(found.root)
        spoken_names = {f: spoken or known.get(f, "") for f, spoken in spoken_names.items()}
    for folder, pictures in by_class.items():
        spoken = spoken_names[folder]
        if folder and not spoken:
            nameless.append(folder)
        captions = (template.replace("{name}", spoken),) if spoken else ()
        records += [
            Record(path=str(found.root / name), name=name, captions=captions) for name in pictures
        ]
    records.sort(key=lambda record: record.name)
    notes = []
    if nameless:
        notes.append(
            f"{len(nameless)} WordNet ids without a name, used without captions: "
            f"{some_names(sorted(nameless))}; put one of {', '.join(KNOWN_MAPPINGS)} into the "
            f"folder, or name a file of ids and names as class_names under data.sources"
        )
    return SourceListing(records=tuple(records), kind="classes", notes=tuple(notes))


def read_class_names(path: Path) -> dict[str, str]:
    """Read a file that maps folder names to spoken names.

    Three common forms are understood: lines of `id name` or `id<tab>name` (the rest of the line is
    the name, of which the part before the first comma is taken), JSON `{"id": "name"}`, and JSON
    `{"0": ["id", "name"]}`.

    Raises:
        UserInputError: When the file cannot be read in any of them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            entries = json.loads(text)
            pairs = [tuple(e) if isinstance(e, list) else (k, e) for k, e in entries.items()]
        else:
            pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
        return {folder: _clean_name(name.split(",")[0]) for folder, name in pairs}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserInputError(
            f"Reading class names from {path}: expected lines of `id name` or a JSON mapping, "
            f"found {type(error).__name__}: {error}. Next: correct the file."
        ) from error


def find_known_names(root: Path) -> dict[str, str]:
    """Read the first of `KNOWN_MAPPINGS` in a folder or up to four above it; empty without one.

    Four lead from the classes of the usual copy (ILSVRC/Data/CLS-LOC/train) to its mapping. A file
    of such a name that is something else is passed over.
    """
    for folder in (root, *root.absolute().parents[:4]):
        for name in KNOWN_MAPPINGS:
            if (folder / name).is_file():
                with contextlib.suppress(UserInputError):
                    names = read_class_names(folder / name)
                    if any(_WORDNET_ID.fullmatch(key) for key in names):
                        return names
    return {}


def _split_prefix(found: FoundFiles, split: str) -> str:
    """Return the relative prefix of the pictures to use."""
    tops = {name.split("/")[0] for name in found.pictures if "/" in name}
    if split:
        if split not in tops:
            raise UserInputError(
                f"Reading class folders in {found.root}: expected a folder {split!r} with pictures "
                f"in it, found {some_names(sorted(tops), limit=8) or 'no folder'}. "
                "Next: correct the split."
            )
        return f"{split}/"
    if tops and tops <= set(SPLIT_FOLDERS):
        return f"{min(tops, key=SPLIT_FOLDERS.index)}/"
    return ""


def _spoken_name(folder: str, pictures: list[str], names: dict[str, str]) -> str:
    """Return how a class is called, or an empty string when only a WordNet id is known."""
    if folder in names:
        return names[folder]
    if not _WORDNET_ID.fullmatch(folder):
        return _clean_name(folder)
    for picture in pictures:
        rest = PurePosixPath(picture).stem.removeprefix(f"{folder}_")
        # ImageNet's own files are numbered (n01440764_10026.JPEG): a number is no name.
        if rest != PurePosixPath(picture).stem and re.search(r"[^\W\d_]", rest):
            return _clean_name(rest)
    return ""


def _clean_name(name: str) -> str:
    """`Model_T` -> `Model T`."""
    return " ".join(name.replace("_", " ").split())
