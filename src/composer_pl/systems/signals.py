"""Stop at the next step boundary when asked to, and save.

Stock Lightning 2.6 raises inside the handler and issues a collective there, which deadlocks unless
all processes get the signal at the same moment (Lightning#20806); and it broadcasts at every step.
"""

import signal
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch


class GracefulStop(pl.Callback):
    """SIGTERM, SIGUSR1 and SIGINT set a flag; the processes agree on it at a step boundary.

    The handler only sets the flag. A second signal of the same kind interrupts at once.

    Attributes:
        signal: Number of the signal that stopped the run; 0 when none did.
    """

    check_every = 10
    """Optimiser steps between two agreements of several processes."""

    def __init__(self) -> None:
        self.signal = 0
        self._asked = 0
        self._previous: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the place of Lightning's handlers, and of its broadcast at every batch.

        Lightning would register its own between here and the first batch. Data workers look after
        themselves (`composer_pl.data.workers`), so that a signal to the whole process group does
        not kill them under a run that is about to save.
        """
        if stage == "fit":
            trainer._signal_connector.register_signal_handlers = self._register  # type: ignore[method-assign]
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def _register(self) -> None:
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
                self._previous[number] = signal.signal(number, self._handle)
        except ValueError:  # not in the main thread
            self._previous.clear()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """At a step boundary: agree, save, stop."""
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if not last and (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        asked = self._asked
        if trainer.world_size > 1:
            if trainer.global_step % self.check_every:
                return
            flag = torch.tensor([asked], device=pl_module.device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            asked = int(flag)
        if asked and not self.signal:
            self.signal = asked
            trainer.should_stop = True
            trainer.limit_val_batches = 0  # Lightning would validate first, who knows how long

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the handlers back, after the final save; not those of a signal that came.

        A process group is often signalled twice, and the second must not kill the way out.
        """
        for number, previous in self._previous.items():
            if number != self._asked:
                signal.signal(number, previous)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = number


def stopped_by(trainer: pl.Trainer) -> int:
    """The number of the signal that stopped a run; 0 when none did."""
    stops = [c for c in trainer.callbacks if isinstance(c, GracefulStop)]  # type: ignore[attr-defined]
    return stops[0].signal if stops else 0
