"""Stop at the first loss or gradient that is not a finite number.

Stock Lightning trains on through NaN and saves the ruined weights. Looking at a number on a GPU
makes the processor wait, so the loss is copied while backward is still queued, and waiting for the
copy costs nothing.
"""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from composer_pl.errors import ComposerPLError


class NonFiniteError(ComposerPLError, ArithmeticError):
    """A loss or gradient became NaN or infinite; no weight was changed by it."""

    def __init__(self, what: str, step: int, value: float):
        super().__init__(
            f"Training step {step}: a finite {what} was expected, found {value}. The weights were "
            f"not updated by it and no checkpoint holds it. Next: resume with --ckpt_path last "
            f"and a lower model.optimizer lr, or set --trainer.gradient_clip_val 1."
        )


class FiniteGuard(pl.Callback):
    """Check the loss of every batch, and where it costs nothing the gradients, before the step."""

    def __init__(self) -> None:
        self._pending: Tensor | None = None
        self._event: torch.cuda.Event | None = None

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Start copying the loss to the processor."""
        if loss.is_cuda:
            self._pending = torch.empty_like(loss, device="cpu", pin_memory=True)
            self._pending.copy_(loss.detach(), non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            self._pending = loss.detach()
            self._check_loss(trainer)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        """Refuse the step when the loss, or on the CPU a gradient, is not finite."""
        self._check_loss(trainer)
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients and not gradients[0].is_cuda:
            norm = torch.nn.utils.get_total_norm(gradients)
            if not bool(norm.isfinite()):
                raise NonFiniteError("gradient norm", trainer.global_step, float(norm))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Accumulated batches are checked too."""
        self._check_loss(trainer)

    def _check_loss(self, trainer: pl.Trainer) -> None:
        if self._pending is None:
            return
        if self._event is not None:
            self._event.synchronize()
        value, self._pending, self._event = float(self._pending), None, None
        if value != value or value in (float("inf"), float("-inf")):
            raise NonFiniteError("loss", trainer.global_step, value)
