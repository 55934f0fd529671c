"""Progress as one line: step, loss, images a second, time left."""

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar

from composer_pl.types import Batch


class Progress(ProgressBar):
    """One line that rewrites itself on a terminal, and one line each `log_every_n_steps` in a log.

    It also logs `images_per_second` (all processes together, waiting for data included).
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._images = 0
        self._since = 0.0
        self._rate = 0.0
        self._shown = 0.0

    def disable(self) -> None:
        """Stay silent."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print beneath the rewriting line."""
        if self._enabled:
            self._clear()
            print(*args, **kwargs)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._images, self._since, self._shown = 0, time.monotonic(), 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count, and now and then report."""
        self._images += len(batch["image"]) * trainer.world_size
        now = time.monotonic()
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        due = (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or last
        step = trainer.global_step
        at_interval = due and step % max(1, trainer.log_every_n_steps) == 0  # type: ignore[attr-defined]
        if at_interval:
            self._rate = self._images / max(now - self._since, 1e-9)
            self._images, self._since = 0, now
            pl_module.log("images_per_second", self._rate, rank_zero_only=True)
        if at_interval or (sys.stderr.isatty() and now - self._shown > 0.5):
            self._show(trainer, outputs, final=not sys.stderr.isatty())
            self._shown = now

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the terminal on a fresh line."""
        if self._enabled and sys.stderr.isatty():
            sys.stderr.write("\n")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report validation, whose time does not count as training."""
        self._images, self._since = 0, time.monotonic()
        loss = trainer.callback_metrics.get("val/loss")
        if loss is not None and not trainer.sanity_checking and self._enabled:
            self.print(f"step {trainer.global_step}  validation loss {float(loss):.4f}")

    def _show(self, trainer: pl.Trainer, outputs: Any, *, final: bool) -> None:
        if not self._enabled:
            return
        step, total = trainer.global_step, trainer.max_steps
        parts = [f"epoch {trainer.current_epoch}", f"step {step}"]
        if total > 0:
            parts[-1] += f"/{total}"
        if isinstance(outputs, dict) and "loss" in outputs:
            # Lightning divides the loss of an accumulated batch.
            loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
            parts.append(f"loss {loss:.4f}")
        rate = self._rate or self._images / max(time.monotonic() - self._since, 1e-9)
        parts.append(f"{rate:.1f} images/s")
        if total > 0 and rate > 0 and self._per_step(trainer):
            left = int((total - step) * self._per_step(trainer) / rate)
            parts.append(f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left")
        line = "  ".join(parts)
        sys.stderr.write(f"{line}\n" if final else f"\r\x1b[K{line}")
        sys.stderr.flush()

    def _per_step(self, trainer: pl.Trainer) -> int:
        """Images of one optimiser step, as far as the loader tells."""
        loader = trainer.train_dataloader
        size = getattr(loader, "batch_size", None)
        if size is None:
            size = getattr(getattr(loader, "batch_sampler", None), "batch_size", 0)
        return int(size or 0) * trainer.world_size * trainer.accumulate_grad_batches

    def _clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
