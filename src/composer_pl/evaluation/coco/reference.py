"""The pictures of a split as networks see them: what drawn pictures are compared with."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from composer_pl.data.decode import decode_picture, read_picture_bytes
from composer_pl.data.transforms import choose_crop, cut
from composer_pl.evaluation.coco.blocks import (
    BLOCK,
    Block,
    begin,
    blocks_of,
    read_rows,
    sweep,
    write_rows,
)
from composer_pl.evaluation.coco.networks import Scorer
from composer_pl.evaluation.coco.split import CocoSplit

PREPARATION = {
    "crop": "largest square in the middle",
    "resize": "bicubic of Pillow, antialiased, 8 bits",
}
"""How a photo becomes a reference picture; part of every manifest."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The pictures of a split at one side.

    Attributes:
        folder: Holds `reference.json` and a folder of features for each network.
        split: Whose pictures.
        side: To which they are brought.
        block: Pictures read between two writes.
    """

    folder: Path
    split: CocoSplit
    side: int
    block: int = BLOCK

    def begin(self) -> None:
        """Make the folder, or go on with one of the same pictures.

        Raises:
            UserInputError: It is of others.
        """
        names = hashlib.sha256("\n".join(self.split.pictures).encode()).hexdigest()
        manifest: dict[str, Any] = {
            "split": self.split.name,
            "names": names,
            "side": self.side,
            "block": self.block,
            **PREPARATION,
        }
        begin(self.folder, "reference.json", manifest, doing="Reading the reference pictures")

    def blocks(self) -> list[Block]:
        """All blocks."""
        return blocks_of(len(self.split.pictures), size=self.block)

    def is_done(self, block: Block, scorers: Sequence[Scorer]) -> bool:
        """Whether every network has seen a block."""
        return not self._lacking(block, scorers)

    def work(self, block: Block, scorers: Sequence[Scorer]) -> None:
        """Show a block to the networks that have not seen it.

        Raises:
            BrokenPictureError: A file is no usable picture.
        """
        if not (lacking := self._lacking(block, scorers)):
            return
        pictures, digests = self.pictures(block)
        notes = {"files": json.dumps(digests)}
        for scorer in lacking:
            write_rows(self._rows(block, scorer), _ids(block), scorer(pictures, ()), notes)

    def pictures(self, block: Block) -> tuple[UInt8[Tensor, "b 3 side side"], list[str]]:
        """The pictures of a block, and the SHA-256 of their files."""
        pictures, digests = [], []
        for name in self.split.pictures[block.rows]:
            path = self.split.folder / name
            data = read_picture_bytes(path)
            picture = decode_picture(data, str(path))
            crop = choose_crop(picture.width, picture.height, key=0)
            square = cut(picture, crop, size=self.side)
            pictures.append(((square + 1) * 127.5).round().byte())
            digests.append(hashlib.sha256(data).hexdigest())
        return torch.stack(pictures), digests

    def numbers(self, scorer: Scorer) -> tuple[Float[Tensor, "n d"], str]:
        """What a network said of all pictures, and one SHA-256 of their names and files.

        Raises:
            UserInputError: A block is missing or damaged.
        """
        values, digest = [], hashlib.sha256()
        for block in self.blocks():
            rows, notes = read_rows(self._rows(block, scorer), _ids(block))
            values.append(rows)
            names = self.split.pictures[block.rows]
            for name, file in zip(names, json.loads(notes["files"]), strict=True):
                digest.update(f"{name} {file}\n".encode())
        return torch.cat(values), digest.hexdigest()

    def sweep(self) -> None:
        """Remove what killed processes left unfinished; none may be at work."""
        for folder in [self.folder, *(path for path in self.folder.iterdir() if path.is_dir())]:
            sweep(folder)

    def _lacking(self, block: Block, scorers: Sequence[Scorer]) -> list[Scorer]:
        return [scorer for scorer in scorers if not self._rows(block, scorer).is_file()]

    def _rows(self, block: Block, scorer: Scorer) -> Path:
        return self.folder / scorer.slug / f"{block.name}.safetensors"


def _ids(block: Block) -> Int[Tensor, " b"]:
    return torch.arange(block.start, block.stop)
