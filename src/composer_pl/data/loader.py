"""The DataLoader of this project: reports broken files, and says that it can resume."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from composer_pl.data.dataset import PictureDataset, Sample, collate
from composer_pl.data.sampler import EpochBatchSampler, HeldOutBatchSampler
from composer_pl.data.workers import outlive_signals
from composer_pl.errors import UserInputError
from composer_pl.types import Batch

_WORKER_TIMEOUT = 600  # seconds without a batch after which a hanging worker becomes an error


class PictureLoader(DataLoader[Sample]):
    """Yields batches; after each the main process looks at what the workers found broken.

    The position of a run is kept by the batch sampler and the datamodule. `state_dict` is here,
    and empty, because Lightning takes its presence for the promise that a loader can resume.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield batches and report broken files as they come up."""
        # Made at once, not at the first `next`: it reads the sampler's epoch.
        return self._reported(super().__iter__())

    def _reported(self, batches: Iterator[Any]) -> Iterator[Batch]:
        dataset = self.dataset
        assert isinstance(dataset, PictureDataset)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except UserInputError:
                # Raised in a worker it carries that process's traceback in its text; the ledger
                # is shared and says the same without it.
                raise dataset.ledger.too_many() from None
            dataset.ledger.report()
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return nothing; see the class."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take nothing; see the class."""


def make_loader(
    dataset: PictureDataset,
    batch_sampler: EpochBatchSampler | HeldOutBatchSampler,
    *,
    num_workers: int,
) -> PictureLoader:
    """Build a loader; order and content of its batches do not depend on `num_workers`."""
    return PictureLoader(
        dataset,
        batch_sampler=batch_sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        timeout=_WORKER_TIMEOUT if num_workers else 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=outlive_signals,
    )
