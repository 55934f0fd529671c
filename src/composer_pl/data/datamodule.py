"""The LightningDataModule: from folders on disk to training and held-out batches."""

import logging
from collections.abc import Sequence
from typing import Any

from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn

from composer_pl.data.dataset import CutConfig, PictureDataset
from composer_pl.data.division import choose, held_out_names
from composer_pl.data.loader import PictureLoader, make_loader
from composer_pl.data.records import Record
from composer_pl.data.resume import (
    DataState,
    data_state,
    names_digest,
    resumed_position,
    trainer_position,
)
from composer_pl.data.sampler import EpochBatchSampler, HeldOutBatchSampler, Position
from composer_pl.data.sources import SourceConfig, list_source
from composer_pl.data.transforms import CropMode
from composer_pl.errors import ConfigError, UserInputError

_logger = logging.getLogger(__name__)


class ComposerDataModule(LightningDataModule):
    """Photos from folders, class folders and COCO roots, or a mixture of them.

    The order of the data is a pure function of (seed, epoch), the same for any number of workers
    and processes (see `composer_pl.data.sampler` for the rule), and an interrupted run goes on with
    the very next batch. Use it with `Trainer(use_distributed_sampler=False)`.
    """

    def __init__(
        self,
        root: str | None = None,
        sources: list[SourceConfig] | None = None,
        *,
        canvas: int = 256,
        resolution: int = 64,
        batch_size: int = 32,
        num_workers: int = 2,
        seed: int = 0,
        crop: CropMode = "center",
        flip: float = 0.0,
        val_fraction: float = 0.02,
        max_samples: int | None = None,
        max_broken: float = 0.05,
    ):
        """Store the configuration; nothing is read before `setup`.

        Args:
            root: Folder of pictures; its layout (COCO, class folders, pictures with captions
                beside them) is found out.
            sources: Several folders, each with its layout and weight; may be given beside `root`.
            canvas: Side in pixels of the canvas that extractors see.
            resolution: Side in pixels of the training target.
            batch_size: Samples of one batch on one process.
            num_workers: Worker processes that read pictures; does not change the data.
            seed: Decides order, crops, captions and all noise.
            crop: "center", or "random" squares of 0.8 to 1 times the short side.
            flip: Probability of mirroring a sample left to right.
            val_fraction: Share of the pictures that is held out, chosen by a hash of their names,
                so that it stays held out when pictures are added. With 1 there is nothing to train
                on: for `validate`, `test` and `predict` on all pictures of another folder.
            max_samples: Use at most this many pictures, chosen by a hash of their names.
            max_broken: Stop when more than this share of the pictures is broken.

        Raises:
            ConfigError: When no source is named or a number is out of range.
        """
        super().__init__()
        self.sources = [SourceConfig(root=root)] if root is not None else []
        self.sources += sources or []
        if not self.sources:
            raise ConfigError(
                "Preparing data: expected a folder of pictures, found none named. "
                "Next: give --data.root FOLDER, or data.sources in a config."
            )
        _require(batch_size >= 1, "batch_size", batch_size, "at least 1")
        _require(num_workers >= 0, "num_workers", num_workers, "0 or more")
        _require(0 <= val_fraction <= 1, "val_fraction", val_fraction, "a share in [0, 1]")
        _require(0 <= max_broken <= 1, "max_broken", max_broken, "a share in [0, 1]")
        _require(max_samples is None or max_samples >= 1, "max_samples", max_samples, "at least 1")
        self.cut = CutConfig(canvas=canvas, resolution=resolution, crop=crop, flip=flip)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.val_fraction = val_fraction
        self.max_samples = max_samples
        self.max_broken = max_broken
        self.train_dataset: PictureDataset | None = None
        self.val_dataset: PictureDataset | None = None
        self._train_sizes: list[int] = []
        self._pictures = 0
        self._restored: tuple[object, DataState] | None = None

    @property
    def canvas(self) -> int:
        """Side of the canvas that extractors see."""
        return self.cut.canvas

    @property
    def resolution(self) -> int:
        """Side of the training target."""
        return self.cut.resolution

    def setup(self, stage: str | None = None) -> None:
        """List all sources and divide the pictures into training and held-out ones.

        Args:
            stage: `fit` (or None) insists on pictures to train on; the others do not need any.

        Raises:
            UserInputError: When a folder cannot be read, or nothing is left to train on.
        """
        if self.train_dataset is None:
            self._list()
        assert self.train_dataset is not None
        assert self.val_dataset is not None
        if stage in (None, "fit") and not len(self.train_dataset):
            raise UserInputError(
                f"Preparing data: expected pictures to train on, found {len(self.val_dataset)} in "
                f"all, every one held out. Next: lower --data.val_fraction ({self.val_fraction})."
            )
        if not len(self.val_dataset) and self.trainer is not None:
            # Nothing to validate on, by the user's choice: Lightning skips validation in silence.
            self.trainer.limit_val_batches = 0

    def _list(self) -> None:
        """Read the sources' listings and make both datasets."""
        listings = [list_source(source) for source in self.sources]
        for source, listing in zip(self.sources, listings, strict=True):
            self._say(
                logging.INFO,
                f"{source.name}: {len(listing.records)} pictures, read as {listing.kind}",
            )
            for note in listing.notes:
                self._say(logging.WARNING, f"{source.name}: {note}.")
        chosen = choose([listing.records for listing in listings], self.max_samples)
        names = held_out_names(chosen, self.val_fraction)
        train: list[tuple[int, Record]] = []
        held_out: list[tuple[int, Record]] = []
        index = 0
        for records in chosen:
            before = len(train)
            for record in records:
                (held_out if record.name in names else train).append((index, record))
                index += 1
            self._train_sizes.append(len(train) - before)
        self._pictures = names_digest([record.name for _, record in train])
        self.train_dataset = self._dataset(train)
        self.val_dataset = self._dataset(held_out)

    def train_dataloader(self) -> PictureLoader:
        """Build the loader of shuffled training batches, beginning where the run stands."""
        self.setup("fit")
        dataset = self.train_dataset
        assert dataset is not None
        sampler = self._train_sampler(self._start())
        if len(dataset) < sampler.global_batch:
            self._say(
                logging.WARNING,
                f"{len(dataset)} training pictures are fewer than the global batch of "
                f"{sampler.global_batch}: they are repeated within an epoch.",
            )
        return make_loader(dataset, sampler, num_workers=self.num_workers)

    def val_dataloader(self) -> PictureLoader | list[PictureLoader]:
        """Build the loader of held-out pictures; an empty list when none is held out."""
        self.setup("validate")
        dataset = self.val_dataset
        assert dataset is not None
        if not len(dataset):
            return []
        self._check_sampler_injection()
        sampler = HeldOutBatchSampler(
            len(dataset), self.batch_size, rank=self._rank, world_size=self._world_size
        )
        return make_loader(dataset, sampler, num_workers=self.num_workers)

    def test_dataloader(self) -> PictureLoader | list[PictureLoader]:
        """Return the same as `val_dataloader`."""
        return self.val_dataloader()

    def predict_dataloader(self) -> PictureLoader:
        """Return the held-out pictures, whose conditions `predict` samples with.

        Raises:
            UserInputError: When none is held out.
        """
        loader = self.val_dataloader()
        if isinstance(loader, list):
            raise UserInputError(
                "Predicting: held-out pictures were expected, found none. Next: raise "
                "--data.val_fraction; 1 takes all pictures."
            )
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Return where the run stands in its data; saved in every checkpoint."""
        trainer = self.trainer
        if self.train_dataset is None or trainer is None:
            return {}
        state = data_state(
            self._train_sampler(Position()), trainer_position(trainer), pictures=self._pictures
        )
        return state.to_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember where a checkpoint stood.

        Lightning calls this before it asks for any loader, also where something reads
        `estimated_stepping_batches` early; its own loops are restored only after that.
        """
        fitting = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        if state_dict and fitting:
            self._restored = (self.trainer, DataState(**state_dict))

    def _start(self) -> Position:
        """Return the position of the first batch to yield."""
        if self.trainer is None:
            return Position()
        position = trainer_position(self.trainer)
        if self._restored is None or self._restored[0] is not self.trainer:
            return position
        saved = self._restored[1]
        if position > Position(saved.epoch, saved.batch):
            return position  # a loader asked for later in the run: the loops know best by then
        current = data_state(self._train_sampler(Position()), Position(), pictures=self._pictures)
        return resumed_position(saved, current)

    def _train_sampler(self, start: Position) -> EpochBatchSampler:
        self._check_sampler_injection()
        return EpochBatchSampler(
            self._train_sizes,
            [source.weight for source in self.sources],
            batch_size=self.batch_size,
            seed=self.seed,
            rank=self._rank,
            world_size=self._world_size,
            accumulate=self.trainer.accumulate_grad_batches if self.trainer is not None else 1,
            start=start,
        )

    def _dataset(self, numbered: Sequence[tuple[int, Record]]) -> PictureDataset:
        return PictureDataset(
            [record for _, record in numbered],
            [index for index, _ in numbered],
            cut=self.cut,
            seed=self.seed,
            max_broken=self.max_broken,
        )

    def _say(self, level: int, message: str) -> None:
        if self._rank == 0:
            _logger.log(level, message)

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1

    def _check_sampler_injection(self) -> None:
        """Refuse a Trainer that would divide the data between processes a second time."""
        if self.trainer is None or self._world_size == 1:
            return
        if self.trainer._accelerator_connector.use_distributed_sampler:
            raise ConfigError(
                "Preparing data for several processes: expected the Trainer to leave the sampler "
                "alone, found use_distributed_sampler=true. "
                "Next: set trainer.use_distributed_sampler: false."
            )


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    """Raise a ConfigError that names the option unless the condition holds."""
    if not condition:
        raise ConfigError(
            f"Preparing data: expected {name} to be {expected}, found {value}. "
            f"Next: correct --data.{name}."
        )
