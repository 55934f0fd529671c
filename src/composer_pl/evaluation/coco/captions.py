"""The caption list: which captions are drawn, one a picture, decided by a seed and kept by id."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.split import Caption, CocoSplit
from composer_pl.files import replacing
from composer_pl.randomness import derive_key


@dataclass(frozen=True)
class CaptionList:
    """Captions in the order in which they are drawn.

    Attributes:
        captions: One a picture.
        seed: What decided them.
        split: Of the captions, such as `val2014`.
    """

    captions: tuple[Caption, ...]
    seed: int
    split: str

    def __len__(self) -> int:
        """How many."""
        return len(self.captions)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids and texts, in order; where the files lie does not matter."""
        digest = hashlib.sha256()
        for caption in self.captions:
            digest.update(f"{caption.image_id}\t{caption.id}\t{caption.text}\n".encode())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write ids and digest as JSON; the texts stay in COCO's own file."""
        content = {
            "what": "pairs of picture id and caption id of COCO, in the order of drawing",
            "split": self.split,
            "seed": self.seed,
            "count": len(self),
            "sha256": self.digest,
            "ids": [[caption.image_id, caption.id] for caption in self.captions],
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content), "utf-8")


def choose_captions(split: CocoSplit, *, count: int | None = None, seed: int = 0) -> CaptionList:
    """Choose pictures, and one caption of each, by keys of their ids.

    The order is that of the keys, so fewer captions of a seed are the first ones of more.

    Args:
        split: What is there.
        count: How many; None takes a caption of every picture that has one.
        seed: Decides the choice.

    Raises:
        UserInputError: There are not that many pictures with captions.
    """
    best: dict[int, tuple[int, Caption]] = {}
    for caption in split.captions:
        ranked = derive_key(seed, "coco caption", caption.id), caption
        if caption.image_id not in best or ranked[0] < best[caption.image_id][0]:
            best[caption.image_id] = ranked
    if not best:
        raise UserInputError(
            f"Choosing captions of {split.name}: expected pictures with captions, found none that "
            f"says anything. Next: give the root with annotations/captions_{split.name}.json."
        )
    count = len(best) if count is None else count
    if not 1 <= count <= len(best):
        raise UserInputError(
            f"Choosing captions of {split.name}: expected at least 1 and at most {len(best)}, as "
            f"many as there are pictures with captions, found {count}. Next: ask for that many "
            f"with -n, or give the root with all annotations."
        )
    order = sorted(best, key=lambda image_id: derive_key(seed, "coco picture", image_id))
    return CaptionList(
        captions=tuple(best[image_id][1] for image_id in order[:count]),
        seed=seed,
        split=split.name,
    )


def stored_captions(path: str | Path, split: CocoSplit) -> CaptionList:
    """Read a list that was saved, and find its texts again by their ids.

    Raises:
        UserInputError: The file is none, names captions that are not there or one twice, or the
            texts are others than those that it was made of.
    """
    doing = f"Reading the caption list {path}"
    try:
        content = json.loads(Path(path).read_bytes())
        pairs = [(int(image), int(caption)) for image, caption in content["ids"]]
        seed, told = int(content["seed"]), str(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise UserInputError(
            f"{doing}: expected a list that an evaluation wrote, found: {reason}. "
            f"Next: correct the path, or leave it out to have one chosen."
        ) from error
    known: Mapping[Any, Caption] = {(c.image_id, c.id): c for c in split.captions}
    absent = [pair for pair in pairs if pair not in known]
    if absent or len({image for image, _ in pairs}) < len(pairs) or not pairs:
        found = (
            f"{len(absent)} that are not there, such as {absent[0][1]} of picture {absent[0][0]}"
            if absent
            else "a picture twice"
            if pairs
            else "none"
        )
        raise UserInputError(
            f"{doing}: expected captions of {split.name}, one a picture, found {found}. "
            f"Next: give the root that the list was made from."
        )
    found_list = CaptionList(tuple(known[pair] for pair in pairs), seed, split.name)
    if found_list.digest != told:
        raise UserInputError(
            f"{doing}: expected texts of digest {told[:12]}, found {found_list.digest[:12]}: the "
            f"annotations say something else than when the list was made. Next: give the same "
            f"annotations."
        )
    return found_list
