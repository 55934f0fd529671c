"""Which samples make up which batch, on which process.

The rule, for `W` processes with `batch_size` samples each: loader batch `i` of an epoch is the
block `[i * batch_size * W, (i + 1) * batch_size * W)` of the epoch's order, and rank `r` takes
every W-th sample of the block, from the r-th. With `A` loader batches accumulated, optimiser step
`s` sees the block `[s * G, (s + 1) * G)` with the global batch `G = batch_size * W * A`. So the set
of samples of a step depends on G alone, however G is divided between processes and accumulation.

An epoch has only whole global batches; the tail that is left over is another one in each epoch.
The samplers hold their rank themselves: Lightning must not add a sampler of its own
(`Trainer(use_distributed_sampler=False)`).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch.utils.data import Sampler

from composer_pl.data.mixture import epoch_lengths, epoch_order

VALIDATION_EPOCH = -1  # held-out pictures are cut and noised the same way every time


class SampleRef(NamedTuple):
    """What a sampler asks the dataset for.

    Attributes:
        epoch: The epoch the sample's key is derived from.
        slot: The picture's position in the dataset.
        lap: How often the picture was already shown in this epoch.
    """

    epoch: int
    slot: int
    lap: int = 0


class Position(NamedTuple):
    """Where a run stands in its data.

    Attributes:
        epoch: The epoch.
        batch: Loader batches of this epoch that are done, per process.
    """

    epoch: int = 0
    batch: int = 0


class EpochBatchSampler(Sampler[list[SampleRef]]):
    """Batches of a shuffled epoch, from any position on, without reading what lies before it."""

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        accumulate: int = 1,
        start: Position = Position(),  # noqa: B008 - a NamedTuple is immutable
    ):
        """Lay out the epochs.

        Args:
            sizes: Pictures of each source.
            weights: How often each picture of a source is shown in an epoch.
            batch_size: Samples of one loader batch on one process.
            seed: The run's seed.
            rank: This process.
            world_size: Number of processes.
            accumulate: Loader batches of one optimiser step.
            start: Where the epoch `start.epoch` begins; all other epochs begin at 0.
        """
        self.sizes = tuple(sizes)
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.accumulate = accumulate
        self.lengths = epoch_lengths(sizes, weights, minimum=self.global_batch)
        # `start` may lie on the very end of an epoch, which is the beginning of the next.
        at_end = start.batch >= len(self) > 0
        self.start = Position(start.epoch + 1, 0) if at_end else start
        self.epoch = self.start.epoch

    @property
    def global_batch(self) -> int:
        """Samples of one optimiser step over all processes."""
        return self.batch_size * self.world_size * self.accumulate

    @property
    def sampler(self) -> "EpochBatchSampler":
        """Itself: Lightning looks for `set_epoch` on a batch sampler's `sampler`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Loader batches of a whole epoch, also where the iteration begins in its middle."""
        return sum(self.lengths) // self.global_batch * self.accumulate

    def __iter__(self) -> Iterator[list[SampleRef]]:
        """Yield this rank's batches of the current epoch."""
        # The epoch is read now, not at the first `next`: the loader may be one epoch ahead by then.
        first = self.start.batch if self.epoch == self.start.epoch else 0
        return self._batches(self.epoch, first)

    def _batches(self, epoch: int, first: int) -> Iterator[list[SampleRef]]:
        order = epoch_order(self.sizes, self.lengths, seed=self.seed, epoch=epoch)
        block = self.batch_size * self.world_size
        for batch in range(first, len(self)):
            mine = slice(batch * block + self.rank, (batch + 1) * block, self.world_size)
            slots, laps = order.slots[mine].tolist(), order.laps[mine].tolist()
            yield [SampleRef(epoch, s, lap) for s, lap in zip(slots, laps, strict=True)]


class HeldOutBatchSampler(Sampler[list[SampleRef]]):
    """Every held-out picture once, in order, with the same number of batches on every process.

    Where the last block has fewer samples than there are processes, the ones left without repeat
    its last sample, so that no process waits for another; `repeats` tells such a batch.
    """

    def __init__(self, size: int, batch_size: int, *, rank: int = 0, world_size: int = 1):
        """Lay out the batches.

        Args:
            size: Number of pictures.
            batch_size: Samples of one batch on one process.
            rank: This process.
            world_size: Number of processes.
        """
        self.size = size
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        """Batches on each process."""
        return math.ceil(self.size / (self.batch_size * self.world_size))

    def repeats(self, batch: int) -> bool:
        """Tell whether this rank's batch of that number only repeats a sample of another rank."""
        return batch * self.batch_size * self.world_size + self.rank >= self.size

    def __iter__(self) -> Iterator[list[SampleRef]]:
        """Yield this rank's batches."""
        block = self.batch_size * self.world_size
        for first in range(0, self.size, block):
            slots = range(first, min(first + block, self.size))
            mine = slots[self.rank :: self.world_size] or slots[-1:]
            yield [SampleRef(VALIDATION_EPOCH, slot) for slot in mine]
