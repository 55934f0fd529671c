"""Sample grids while training: what the model makes of a few held-out pictures.

Each row is one picture: the original, each condition as its plugin draws it, then samples from each
condition alone, from all together and from none; of an upsampler the small picture and what becomes
of it. Made by the sampling recipe of everything else, with the averaged weights, and the same noise
every time.
"""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import TensorBoardLogger

from composer_pl.data.dataset import PictureDataset
from composer_pl.errors import ConfigError
from composer_pl.files import replacing
from composer_pl.models.sampling import sample_keys
from composer_pl.sheet import Panel, contact_sheet, to_pil
from composer_pl.systems.diffusion import DiffusionSystem
from composer_pl.systems.drawing import draw_each
from composer_pl.systems.ema import averaged_weights
from composer_pl.systems.held_out import held_out_pictures
from composer_pl.systems.signals import stopped_by
from composer_pl.systems.upsampler import UpsamplerSystem
from composer_pl.types import Batch

FOLDER = "samples"
PREDICTIONS = "predictions"


class Previews(pl.Callback):
    """Draw a grid every so many steps, into `samples/` of the run folder and to TensorBoard.

    Args:
        every_n_steps: Optimiser steps between two grids; 0 draws none.
        pictures: How many held-out pictures, the first of the validation set.
        seed: Of the noise that samples start from.
    """

    def __init__(self, every_n_steps: int = 1000, pictures: int = 4, seed: int = 0):
        if every_n_steps < 0 or pictures < 1:
            raise ConfigError(
                f"Reading previews: every_n_steps of at least 0 and at least one of pictures were "
                f"expected, found {every_n_steps} and {pictures}. Next: correct previews.*"
            )
        self.every_n_steps = every_n_steps
        self.pictures = pictures
        self.seed = seed
        self._batch: Batch | None = None
        self._drawn_step = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What was drawn before an interruption is not drawn again."""
        self._drawn_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Draw after the optimiser step that completes the interval."""
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            self._draw_once(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the end of the run; not when a signal ended it, which is in a hurry."""
        if self.every_n_steps and not stopped_by(trainer):
            self._draw_once(trainer, pl_module)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the pictures of `predict`, named by place in the data set and source picture."""
        folder = Path(trainer.default_root_dir) / PREDICTIONS
        folder.mkdir(parents=True, exist_ok=True)
        dataset = getattr(trainer.predict_dataloaders, "dataset", None)
        for picture, index in zip(outputs, batch["index"].tolist(), strict=True):
            name = f"{index:06d}"
            if isinstance(dataset, PictureDataset):
                name += f"-{Path(dataset.record_of(index).name).stem}"
            with replacing(folder / f"{name}.png") as path:
                to_pil((picture + 1) / 2).save(path)

    def _draw_once(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        if (
            step == self._drawn_step
            or trainer.fast_dev_run  # type: ignore[attr-defined]
            or not isinstance(pl_module, DiffusionSystem | UpsamplerSystem)
        ):
            return
        self._drawn_step = step
        if trainer.is_global_zero:
            self._draw(trainer, pl_module, step)
        trainer.strategy.barrier()

    def _draw(
        self, trainer: pl.Trainer, system: DiffusionSystem | UpsamplerSystem, step: int
    ) -> None:
        if self._batch is None:
            self._batch = held_out_pictures(trainer, self.pictures)
        if self._batch is None:
            return
        batch = system.transfer_batch_to_device(self._batch, system.device, 0)
        model, training = system.model, system.model.training
        # Eager: other batch sizes must not recompile what training compiled.
        with averaged_weights(trainer, model), torch.compiler.set_stance("force_eager"):
            model.eval()
            try:
                with trainer.precision_plugin.forward_context():
                    if isinstance(system, UpsamplerSystem):
                        rows = upsampled_rows(system, batch, seed=self.seed)
                    else:
                        rows = preview_rows(system, batch, seed=self.seed)
            finally:
                model.train(training)
        sheet = contact_sheet(rows, cell=max(96, batch["image"].shape[-1]))
        folder = Path(trainer.default_root_dir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"step-{step:08d}.png") as path:
            sheet.save(path)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(FOLDER, np.asarray(sheet), step, dataformats="HWC")


@torch.no_grad()
def preview_rows(system: DiffusionSystem, batch: Batch, *, seed: int) -> list[list[Panel]]:
    """The panels of a base model's grid, one row a picture; see the module."""
    count, names = len(batch["image"]), system.model.names
    available = system.extraction.available(batch)
    values = system.extract(batch, available)
    drawings = {
        name: plugin.visualize(values[name]) for name, plugin in system.model.plugins.items()
    }
    columns: dict[str, tuple[str, ...]] = {f"{name} alone": (name,) for name in names}
    columns |= {"all": names, "none": ()}
    size = (batch["image"].shape[-2], batch["image"].shape[-1])
    samples = {}
    for title, wanted in columns.items():
        keep = available & system.model.keep(wanted, count)
        drawn = draw_each(
            system.model, values, keep, system.sampling, keys=sample_keys(seed, count), size=size
        )
        samples[title] = (drawn + 1) / 2
    rows = []
    for i in range(count):
        row = [Panel(title="original", content=(batch["image"][i].float() + 1) / 2)]
        for n, name in enumerate(names):
            content = drawings[name][i] if bool(available[n, i]) else "(none)"
            row.append(Panel(title=name, content=content))
        row += [Panel(title=title, content=drawn[i]) for title, drawn in samples.items()]
        rows.append(row)
    return rows


def upsampled_rows(system: UpsamplerSystem, batch: Batch, *, seed: int) -> list[list[Panel]]:
    """One row a picture: the small one, bicubic interpolation, a sample, the original."""
    low = system.small(batch["image"])
    drawn = system.enlarge(low, keys=sample_keys(seed, len(low)))
    columns = {
        "small": F.interpolate(low, scale_factor=float(system.model.upsampling.factor)),
        "bicubic": system.model.enlarge(low),
        "sample": drawn,
        "original": batch["image"],
    }
    shown = {name: (pictures.float().clamp(-1, 1) + 1) / 2 for name, pictures in columns.items()}
    return [
        [Panel(title=name, content=pictures[i]) for name, pictures in shown.items()]
        for i in range(len(low))
    ]
