"""What every source of pictures yields: one record a picture, and what was odd about the folder."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.randomness import derive_key

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
)
CAPTION_SUFFIX = ".txt"
MAX_CAPTION_LENGTH = 2000  # characters; a tokenizer keeps 77 tokens, so this cuts only accidents


@dataclass(frozen=True, kw_only=True, slots=True)
class MadePicture:
    """A picture that was made instead of read.

    Attributes:
        image: Upright RGB.
        digest: What stands for a file's content: other pixels have another digest.
        captions: Any number of texts.
    """

    image: Image.Image
    digest: str
    captions: tuple[str, ...]


class PictureMaker(ABC):
    """Makes pictures when they are asked for; sent to every worker process."""

    @abstractmethod
    def prepare(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Make the pictures of several (record's number, sample's key) at once."""

    @abstractmethod
    def make(self, number: int, key: int) -> MadePicture:
        """Return the picture of a record in the sample of a key, a pure function of the two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One picture on disk, or one that is made.

    Attributes:
        path: Where the file lies; empty for a picture that is made.
        name: The path relative to its source's root, with forward slashes: the same on every
            machine. The choice between training and held-out pictures hangs on it.
        captions: Any number of texts; one of them is chosen each epoch.
        maker: What makes the picture; None where a file is read.
        number: What the maker knows it by.
    """

    path: str
    name: str
    captions: tuple[str, ...] = ()
    maker: PictureMaker | None = None
    number: int = 0

    def rank(self, purpose: str) -> float:
        """A number in [0, 1) that only this record's name and `purpose` decide."""
        return derive_key(self.name, purpose) / 2**63


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceListing:
    """All pictures of one source, and the things a person should hear about.

    Attributes:
        records: The pictures, sorted by name.
        kind: Which layout was read.
        notes: Sentences about captions without pictures, classes without names and the like.
    """

    records: tuple[Record, ...]
    kind: str
    notes: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class FoundFiles:
    """The files below a root, by their relative names, sorted.

    Attributes:
        root: The folder that was walked.
        pictures: Files with a picture's suffix.
        captions: Files with the suffix `.txt`.
        others: How many other files there are.
    """

    root: Path
    pictures: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    others: int = 0


def find_files(root: Path) -> FoundFiles:
    """Walk `root` and sort its files into pictures, captions and others.

    Links to folders are followed, each real folder once; names that begin with a dot are hidden
    files of the system and left out.

    Raises:
        UserInputError: When `root` is not a folder.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing there"
        raise UserInputError(
            f"Reading pictures from {root}: expected a folder, found {found}. "
            "Next: correct the path."
        )
    found_files = FoundFiles(root=root)
    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for file in files:
            if file.startswith("."):
                continue
            name = Path(folder, file).relative_to(root).as_posix()
            suffix = os.path.splitext(file)[1].lower()
            if suffix in PICTURE_SUFFIXES:
                found_files.pictures.append(name)
            elif suffix == CAPTION_SUFFIX:
                found_files.captions.append(name)
            else:
                found_files.others += 1
    # Sorted, because the order of a directory differs between file systems and the data order
    # must not.
    found_files.pictures.sort()
    found_files.captions.sort()
    return found_files


def require_pictures(found: FoundFiles) -> None:
    """Refuse a folder in which no file has a picture's suffix.

    Raises:
        UserInputError: When there is no picture.
    """
    if not found.pictures:
        raise UserInputError(
            f"Reading pictures from {found.root}: expected files ending in "
            f"{', '.join(sorted(PICTURE_SUFFIXES))}, found none among "
            f"{len(found.captions) + found.others} files. Next: name the folder that holds them."
        )


def clean_caption(text: str) -> str:
    """Collapse white space, replace what is not valid Unicode, and cut accidents of length."""
    valid = text.encode("utf-8", errors="replace").decode("utf-8")
    return " ".join(valid.replace("\x00", " ").split())[:MAX_CAPTION_LENGTH].rstrip()


def some_names(names: list[str], *, limit: int = 3) -> str:
    """Return the first few names for a message, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
