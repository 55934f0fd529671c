"""A folder of pictures with their captions beside them: `x.jpg` and `x.txt`, at any depth."""

import os
from pathlib import Path

from composer_pl.data.records import (
    FoundFiles,
    Record,
    SourceListing,
    clean_caption,
    require_pictures,
    some_names,
)


def list_folder(found: FoundFiles) -> SourceListing:
    """List every picture below a root; each line of the text beside it is one caption.

    A picture without text, or with an empty one, is used with an empty caption. Bytes that are not
    UTF-8 are replaced.

    Raises:
        UserInputError: When there is no picture at all.
    """
    require_pictures(found)
    unused = {os.path.splitext(name)[0]: name for name in found.captions}
    beside = dict(unused)
    records = []
    for name in found.pictures:
        stem = os.path.splitext(name)[0]
        unused.pop(stem, None)
        captions = read_captions(found.root / beside[stem]) if stem in beside else ()
        records.append(Record(path=str(found.root / name), name=name, captions=captions))
    notes = []
    if unused:
        lost = sorted(unused.values())
        notes.append(f"{len(lost)} captions without pictures: {some_names(lost)}")
    blank = sum(not record.captions for record in records)
    if blank and found.captions:
        notes.append(f"{blank} of {len(records)} pictures without a caption")
    return SourceListing(records=tuple(records), kind="folder", notes=tuple(notes))


def read_captions(path: Path) -> tuple[str, ...]:
    """Read a caption file: every line that is not blank is one caption."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    return tuple(caption for line in text.splitlines() if (caption := clean_caption(line)))
