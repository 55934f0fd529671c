"""The first held-out pictures of a run, for what looks at the same ones again and again."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from composer_pl.data.dataset import PictureDataset, collate
from composer_pl.data.sampler import VALIDATION_EPOCH, SampleRef
from composer_pl.types import Batch


def held_out_pictures(trainer: pl.Trainer, count: int) -> Batch | None:
    """The first pictures of the validation set; None without one.

    The same ones whatever the batch size and the number of processes, cut and keyed as validation
    does.

    Args:
        trainer: While it fits.
        count: How many; fewer where the set is smaller.
    """
    loader = trainer.val_dataloaders
    if loader is None:
        loader = trainer.datamodule.val_dataloader() if trainer.datamodule else None  # type: ignore[attr-defined]
    loader = loader[0] if isinstance(loader, list) and loader else loader
    dataset = getattr(loader, "dataset", None)
    if isinstance(dataset, PictureDataset):
        slots = range(min(count, len(dataset)))
        samples = dataset.__getitems__([SampleRef(VALIDATION_EPOCH, slot) for slot in slots])
        dataset.ledger.report()
        return collate(samples) if samples else None
    batches: list[Batch] = []
    for batch in loader or []:
        batches.append(batch)
        if sum(len(b["image"]) for b in batches) >= count:
            break
    return _joined(batches, count) if batches else None


def _joined(batches: list[Batch], count: int) -> Batch:
    """The first so many samples of several batches."""
    joined: dict[str, Any] = {}
    for key in batches[0]:
        parts = [batch[key] for batch in batches]  # type: ignore[literal-required]
        if isinstance(parts[0], Tensor):
            joined[key] = torch.cat(parts)[:count]
        elif isinstance(parts[0], list):
            joined[key] = [item for part in parts for item in part][:count]
        elif isinstance(parts[0], dict):
            joined[key] = {
                name: torch.cat([part[name] for part in parts])[:count] for name in parts[0]
            }
    return joined  # type: ignore[return-value]
