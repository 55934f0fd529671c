"""Where an interrupted run goes on in its data."""

import logging
from dataclasses import asdict, dataclass

from lightning.pytorch import Trainer

from composer_pl.data.sampler import EpochBatchSampler, Position
from composer_pl.randomness import derive_key

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataState:
    """What a checkpoint holds of the data; plain numbers, so that safe loading accepts it.

    Attributes:
        epoch: Epoch of the next batch.
        batch: Loader batches of that epoch already trained on, per process.
        block: Samples of one loader batch over all processes.
        global_batch: Samples of one optimiser step.
        seed: The run's seed.
        pictures: A digest of the names of the training pictures, in order.
    """

    epoch: int
    batch: int
    block: int
    global_batch: int
    seed: int
    pictures: int

    def to_dict(self) -> dict[str, int]:
        """Return the plain form."""
        return asdict(self)


def trainer_position(trainer: Trainer) -> Position:
    """Read from Lightning's loops which batches are done.

    A batch counts when its training step is finished, so a batch that was interrupted in its middle
    is done again, as the loops themselves do it.
    """
    epochs = trainer.fit_loop.epoch_progress.state_dict()["current"]
    progress = trainer.fit_loop.epoch_loop.batch_progress
    batches = progress.state_dict()["current"]
    if epochs["started"] <= epochs["processed"]:  # between two epochs
        return Position(epochs["processed"], 0)
    if progress.is_last_batch and batches["processed"] == batches["ready"]:
        return Position(epochs["processed"] + 1, 0)
    return Position(epochs["processed"], batches["processed"])


def names_digest(names: list[str]) -> int:
    """Return one number for the training pictures and their order."""
    return derive_key(*names)


def data_state(sampler: EpochBatchSampler, position: Position, *, pictures: int) -> DataState:
    """Describe a run's place in its data."""
    return DataState(
        epoch=position.epoch,
        batch=position.batch,
        block=sampler.batch_size * sampler.world_size,
        global_batch=sampler.global_batch,
        seed=sampler.seed,
        pictures=pictures,
    )


def resumed_position(saved: DataState, current: DataState) -> Position:
    """Return where to go on, and say so when the continued run cannot be the same run.

    Args:
        saved: From the checkpoint.
        current: Of this run at its beginning.
    """
    changes = [
        f"{what} {getattr(saved, name)} -> {getattr(current, name)}"
        for name, what in (("seed", "seed"), ("global_batch", "global batch"))
        if getattr(saved, name) != getattr(current, name)
    ]
    if saved.pictures != current.pictures:
        changes.append("other training pictures")
    if saved.block != current.block and saved.batch:
        changes.append(f"samples of a loader batch {saved.block} -> {current.block} mid-epoch")
    if changes:
        _logger.warning(
            "Resuming: the data differ from the interrupted run's (%s), so the rest of this epoch "
            "is not what it would have been.",
            ", ".join(changes),
        )
    return Position(saved.epoch, saved.batch * saved.block // current.block)
