"""The pictures of a caption list drawn in one manner: block by block, into a folder or features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.evaluation.coco.blocks import (
    BLOCK,
    Block,
    begin,
    blocks_of,
    read_pictures,
    read_rows,
    sweep,
    write_pictures,
    write_rows,
)
from composer_pl.evaluation.coco.captions import CaptionList
from composer_pl.evaluation.coco.drawing import CaptionArtist, Manner
from composer_pl.evaluation.coco.networks import Scorer
from composer_pl.evaluation.coco.split import Caption

Keep = Literal["png", "features"]
_PICTURES = "pictures"


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A folder of drawn pictures, or of what networks made of them.

    Attributes:
        folder: Holds `drawn.json`, `pictures/BLOCK/ID.png`, and a folder for each network.
        captions: What is drawn.
        manner: How.
        keep: `png` keeps the pictures, `features` only what the networks said of them.
        block: Captions drawn between two writes.
    """

    folder: Path
    captions: CaptionList
    manner: Manner
    keep: Keep = "png"
    block: int = BLOCK

    def begin(self, artist: CaptionArtist, scorers: Sequence[Scorer]) -> None:
        """Make the folder, or go on with one that was begun in the same way.

        Raises:
            UserInputError: It was begun in another way.
        """
        manifest: dict[str, Any] = {
            "model": artist.subject(self.manner),
            "captions": self.captions.digest,
            "seed": self.manner.seed,
            "block": self.block,
            "keep": self.keep,
            **self.manner.to_dict(enlarged=bool(artist.composer.cascade)),
        }
        if self.keep == "features":  # nothing else can be had of the pictures later
            manifest["networks"] = sorted(scorer.slug for scorer in scorers)
        begin(self.folder, "drawn.json", manifest, doing="Drawing pictures of captions")

    def blocks(self) -> list[Block]:
        """All blocks."""
        return blocks_of(len(self.captions), size=self.block)

    def is_done(self, block: Block, scorers: Sequence[Scorer]) -> bool:
        """Whether a block is drawn, and every network has seen it."""
        drawn = self.keep == "features" or (self.folder / _PICTURES / block.name).is_dir()
        return drawn and not self._lacking(block, scorers)

    def work(self, block: Block, artist: CaptionArtist, scorers: Sequence[Scorer]) -> None:
        """Draw a block unless it is there, and show it to the networks that have not seen it."""
        captions, folder = self.captions.captions[block.rows], self.folder / _PICTURES
        lacking, names = self._lacking(block, scorers), [_name(caption) for caption in captions]
        if self.keep == "png" and (folder / block.name).is_dir():
            if not lacking:
                return
            pictures = read_pictures(folder, block, names)
        else:
            pictures = artist.draw(captions, self.manner)
            if self.keep == "png":
                write_pictures(folder, block, names, pictures)
        texts = [caption.text for caption in captions]
        for scorer in lacking:
            write_rows(self._rows(block, scorer), self._ids(block), scorer(pictures, texts))

    def numbers(self, scorer: Scorer) -> Float[Tensor, "n d"]:
        """What a network said of all pictures, in the order of the captions.

        Raises:
            UserInputError: A block is missing or damaged.
        """
        return torch.cat(
            [read_rows(self._rows(block, scorer), self._ids(block))[0] for block in self.blocks()]
        )

    def first_pictures(self, count: int) -> list[tuple[Caption, Tensor]]:
        """The first captions and their pictures in [0, 1]; none where only features are kept."""
        shown = []
        if self.keep == "png":
            for block in self.blocks()[: -(-count // self.block)]:
                captions = self.captions.captions[block.rows]
                names = [_name(caption) for caption in captions]
                pictures = read_pictures(self.folder / _PICTURES, block, names)
                shown += zip(captions, pictures.float() / 255, strict=True)
        return shown[:count]

    def sweep(self) -> None:
        """Remove what killed processes left unfinished; none may be at work."""
        for folder in [self.folder, *(path for path in self.folder.iterdir() if path.is_dir())]:
            sweep(folder)

    def _lacking(self, block: Block, scorers: Sequence[Scorer]) -> list[Scorer]:
        return [scorer for scorer in scorers if not self._rows(block, scorer).is_file()]

    def _rows(self, block: Block, scorer: Scorer) -> Path:
        return self.folder / scorer.slug / f"{block.name}.safetensors"

    def _ids(self, block: Block) -> Int[Tensor, " b"]:
        return torch.tensor([caption.id for caption in self.captions.captions[block.rows]])


def _name(caption: Caption) -> str:
    """The file of a caption's picture, named as COCO names pictures, by the id of the picture."""
    return f"{caption.image_id:012d}.png"
