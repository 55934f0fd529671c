"""The loss of every step in `metrics.csv`, the same file whether a run was interrupted or not.

Stock loggers append: after a crash their files hold some steps twice, and means over an interval
depend on where the run was resumed. Here a row is one optimiser step, and a resumed run first
drops the rows after the step that it goes on from.
"""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from composer_pl.files import replacing

METRICS = "metrics.csv"
"""Name of the file in the run folder."""
HEADER = "step,loss"
"""Its first line. A row holds the optimiser step, counted from 1, and the loss of its batch."""


class LossCurve(pl.Callback):
    """Write `step,loss` of every optimiser step to `metrics.csv` of the run folder.

    Losses stay on their device until they are written: every `log_every_n_steps` steps, before
    each checkpoint and at the end. With several processes the loss is the mean over all of them.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[int, Tensor]] = []
        self._sum: Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the rows up to the step that the run goes on from."""
        self._rows, self._sum = [], None
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            _truncate(_file(trainer), trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the loss; the batches of an accumulated step each bring their share of it."""
        if not isinstance(outputs, dict) or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        loss: Tensor = outputs["loss"].detach()
        self._sum = total = loss if self._sum is None else self._sum + loss
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if not last and (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self._rows.append((trainer.global_step, total))
        self._sum = None
        if trainer.global_step % max(1, trainer.log_every_n_steps) == 0:  # type: ignore[attr-defined]
            self._write(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Every step that a checkpoint holds is in the file before it."""
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the rest."""
        self._write(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Show how the loss went before a failure; one process alone cannot ask the others."""
        if trainer.world_size == 1:
            self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if not self._rows:
            return
        losses = torch.stack([loss.float() for _, loss in self._rows])
        if trainer.world_size > 1:
            torch.distributed.all_reduce(losses)
            losses /= trainer.world_size
        steps = [step for step, _ in self._rows]
        self._rows = []
        if trainer.is_global_zero:
            values = losses.tolist()
            lines = [f"{s},{v:.9g}\n" for s, v in zip(steps, values, strict=True)]
            with open(_file(trainer), "a", encoding="utf-8") as file:
                file.writelines(lines)


def _file(trainer: pl.Trainer) -> Path:
    return Path(trainer.default_root_dir) / METRICS


def _truncate(path: Path, step: int) -> None:
    """Leave the header and the whole rows up to `step`; a new file where there is none."""
    kept = [HEADER]
    if step and path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            number = line.partition(",")[0]
            if line.endswith("\n") and number.isdecimal() and int(number) <= step:
                kept.append(line.rstrip("\n"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text("\n".join(kept) + "\n", encoding="utf-8")
