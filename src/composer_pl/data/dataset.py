"""Pictures as samples: read, cut canvas and target from one box, choose a caption."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from composer_pl.data.decode import (
    BrokenPictureError,
    Picture,
    decode_picture,
    read_picture_bytes,
)
from composer_pl.data.ledger import BrokenFileLedger
from composer_pl.data.records import PictureMaker, Record
from composer_pl.data.sampler import VALIDATION_EPOCH, SampleRef
from composer_pl.data.transforms import MIN_CROP_SHARE, CropMode, choose_crop, cut
from composer_pl.errors import ConfigError
from composer_pl.randomness import derive_key
from composer_pl.types import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class CutConfig:
    """How squares are cut out of pictures.

    Attributes:
        canvas: Side of the canvas that extractors see.
        resolution: Side of the training target.
        crop: "center" or "random".
        flip: How often a sample is mirrored.
    """

    canvas: int = 256
    resolution: int = 64
    crop: CropMode = "center"
    flip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes and rates that cannot be."""
        if not 0 < self.resolution <= self.canvas:
            raise ConfigError(
                "Cutting pictures: expected 0 < resolution <= canvas, found resolution "
                f"{self.resolution} and canvas {self.canvas}. Next: correct --data.canvas."
            )
        if not 0 <= self.flip <= 1:
            raise ConfigError(
                f"Cutting pictures: expected a flip probability in 0..1, found {self.flip}. "
                "Next: correct --data.flip."
            )

    @property
    def short_side(self) -> int:
        """Pixels to keep when a large JPEG is decoded at reduced size: twice what is cut."""
        return math.ceil(2 * self.canvas / MIN_CROP_SHARE)


class Sample(TypedDict):
    """One row of a `Batch`."""

    source: Float[Tensor, "3 s s"]
    image: Float[Tensor, "3 h w"]
    caption: str
    index: int
    key: int
    identity: int


class PictureDataset(Dataset[Sample]):
    """Samples by reference; a sample is a pure function of (seed, epoch, index).

    A picture that cannot be read is replaced by the next one that can, in the order of the dataset
    and from its end back to its beginning, whichever worker comes upon it. The replacement keeps
    the key of the sample whose place it takes, and carries its own index.
    """

    def __init__(
        self,
        records: Sequence[Record],
        indices: Sequence[int],
        *,
        cut: CutConfig,
        seed: int,
        max_broken: float = 0.05,
    ):
        """Prepare to read.

        Args:
            records: The pictures, by slot.
            indices: Each picture's position in the whole of training and held-out pictures.
            cut: How squares are cut.
            seed: The run's seed.
            max_broken: Largest share of broken pictures that is passed over.
        """
        self.records = records
        self.indices = indices
        self.cut = cut
        self.seed = seed
        self.ledger = BrokenFileLedger(records, max_broken=max_broken)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.records)

    def __getitem__(self, ref: SampleRef | int) -> Sample:
        """Return one sample; a bare number means the sample as it is cut in validation.

        Raises:
            UserInputError: When too many pictures are broken to go on.
        """
        if not isinstance(ref, tuple):
            ref = SampleRef(VALIDATION_EPOCH, ref)
        key = self.sample_key(ref)
        for step in range(len(self)):
            slot = (ref.slot + step) % len(self)
            if self.ledger.is_broken(slot):
                continue
            try:
                sample = self._load(slot, key)
            except BrokenPictureError:
                self.ledger.mark(slot, broken=True)
                if self.ledger.exceeded():
                    break
            else:
                self.ledger.mark(slot, broken=False)
                return sample
        raise self.ledger.too_many()

    def record_of(self, index: int) -> Record:
        """Return the record that a sample's `index` stands for."""
        return self.records[self.indices.index(index)]

    def __getitems__(self, refs: list[SampleRef]) -> list[Sample]:
        """Return the samples of a batch; pictures that are made are made together."""
        wanted: dict[int, list[tuple[int, int]]] = {}
        makers: dict[int, PictureMaker] = {}
        for ref in refs:
            record = self.records[ref.slot]
            if record.maker is not None:
                makers[id(record.maker)] = record.maker
                wanted.setdefault(id(record.maker), []).append(
                    (record.number, self.sample_key(ref))
                )
        for name, maker in makers.items():
            maker.prepare(wanted[name])
        return [self[ref] for ref in refs]

    def sample_key(self, ref: SampleRef) -> int:
        """Return the key that all randomness of a sample comes from."""
        index = self.indices[ref.slot]
        # Only repeats within an epoch need the lap, so that keys do not depend on the mixture.
        return derive_key(self.seed, ref.epoch, index, *((ref.lap,) if ref.lap else ()))

    def _load(self, slot: int, key: int) -> Sample:
        record, config = self.records[slot], self.cut
        if record.maker is not None:
            made = record.maker.make(record.number, key)
            captions, digest = made.captions, made.digest
            picture = Picture(image=made.image, width=made.image.width, height=made.image.height)
            # Shown whole and never mirrored: its captions say what is left and right.
            crop = choose_crop(picture.width, picture.height, key=key)
        else:
            captions = record.captions
            data = read_picture_bytes(record.path)
            picture = decode_picture(data, record.path, short_side=config.short_side)
            crop = choose_crop(
                picture.width,
                picture.height,
                key=key,
                mode=config.crop,
                flip_probability=config.flip,
            )
            # The file's content, not its path, says what a cached value was extracted from: a
            # picture that is replaced under its name must not find the old one's value.
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        where: tuple[int | str, ...] = (
            crop.left, crop.top, crop.side, int(crop.flip), config.canvas
        )  # fmt: skip
        if picture.managed:  # so that values cached before profiles were applied are not found
            where += ("sRGB",)
        if picture.assumed:  # likewise, of before such levels were recognised
            where += ("levels",)
        return Sample(
            source=cut(picture, crop, size=config.canvas),
            image=cut(picture, crop, size=config.resolution),
            caption=captions[derive_key(key, "caption") % len(captions)] if captions else "",
            index=self.indices[slot],
            key=key,
            identity=derive_key(digest, *where),
        )


def collate(samples: list[Sample]) -> Batch:
    """Stack samples into a batch."""
    return Batch(
        source=torch.stack([sample["source"] for sample in samples]),
        image=torch.stack([sample["image"] for sample in samples]),
        caption=[sample["caption"] for sample in samples],
        index=torch.tensor([sample["index"] for sample in samples]),
        key=torch.tensor([sample["key"] for sample in samples]),
        identity=torch.tensor([sample["identity"] for sample in samples]),
    )
