"""Checkpoints that survive crashes: written whole or not at all, checked when read.

Stock Lightning writes to the system's temporary folder first and then moves the file, which is not
atomic across file systems, destroys the previous file when the disk is full, and passes over a
permission error in silence (Lightning#19970, #21431, #21800). `--ckpt_path last` with nothing there
starts from scratch without a word. Both are mended here.
"""

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from composer_pl.errors import CheckpointError, ConfigError
from composer_pl.files import disk_trouble, replacing

FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d+)\.ckpt")


class AtomicCheckpointIO(CheckpointIO):
    """Write beside the target, flush to the disk, rename; refuse what must not be saved."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; afterwards `path` holds all of it, or what it held before.

        Raises:
            CheckpointError: A value is not finite, the disk is full, or the folder is closed.
        """
        _refuse_non_finite(checkpoint)
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary, open(temporary, "wb") as file:
                torch.save(checkpoint, file)
            _sync_folder(target.parent)
        except (OSError, RuntimeError) as error:  # torch's zip writer hides the disk's error
            full = disk_trouble(error)
            reason = full or getattr(error, "strerror", None)
            if not reason:
                raise
            raise CheckpointError(
                f"Saving the checkpoint {path}: a disk that takes it was expected, found: "
                f"{reason}. The checkpoints before it are whole. Next: "
                f"{'free space' if full else 'correct the permissions'} there, then go on with "
                f"--ckpt_path last."
            ) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any | None = None,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint without executing anything in it, after checking its checksums.

        Raises:
            CheckpointError: The file is absent, damaged, or holds more than plain data.
        """
        if problem := find_damage(path):
            raise CheckpointError(
                f"Reading the checkpoint {path}: a whole file was expected, {problem}. "
                f"Next: use the one before it, or --ckpt_path last, which finds it by itself."
            )
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"Reading the checkpoint {path}: tensors, numbers and texts were expected, found "
                f"something else ({reason}). Next: use a file that composer-pl wrote."
            ) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


class Checkpoints(Checkpoint):
    """Save every so many optimiser steps and at the end, into `checkpoints/` of the run folder.

    Args:
        every_n_steps: Optimiser steps between two checkpoints.
        keep: How many to keep; at least two, so that one damaged file never loses a run. 0 keeps
            all.
    """

    def __init__(self, every_n_steps: int = 1000, keep: int = 2):
        if every_n_steps < 1 or keep < 0 or keep == 1:
            raise ConfigError(
                f"Reading checkpoints: every_n_steps of at least 1 and keep of 0 or at least 2 "
                f"were expected, found {every_n_steps} and {keep}. Next: correct checkpoints.*"
            )
        self.every_n_steps = every_n_steps
        self.keep = keep
        self._saved_step = -1

    def save(self, trainer: pl.Trainer) -> None:
        """Save now, unless this step is already saved; call it on all processes."""
        step = trainer.global_step
        if step == self._saved_step or trainer.fast_dev_run or trainer.sanity_checking:  # type: ignore[attr-defined]
            return
        folder = Path(trainer.default_root_dir) / FOLDER
        trainer.save_checkpoint(folder / f"step-{step:08d}.ckpt")
        self._saved_step = step
        if trainer.is_global_zero and self.keep:
            # Of later steps only damaged files are left here: what is new must not yield to them.
            done = [path for path in list_checkpoints(folder) if step_of(path) <= step]
            for path in done[self.keep :]:
                path.unlink(missing_ok=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What was resumed from need not be saved again, and must be the end of its run.

        Raises:
            CheckpointError: The run folder holds later checkpoints; `last` would find them instead
                of what this run saves.
        """
        self._saved_step = step = trainer.global_step
        folder = Path(trainer.default_root_dir) / FOLDER
        later = [path for path in list_checkpoints(folder) if step_of(path) > step]
        whole = next((path for path in later if find_damage(path) is None), None)
        if whole is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise CheckpointError(
                f"Going on from step {step} in {folder.parent}: the newest checkpoint of a run was "
                f"expected, found the later {whole.name}. Next: continue with --ckpt_path last, or "
                f"branch off with --trainer.default_root_dir DIR."
            )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save after the optimiser step that completes the interval, or is the last.

        The last step is saved here and not at the end, because Lightning then counts an epoch that
        was left in its middle as finished, and a continued run would skip the rest of it.
        """
        step = trainer.global_step
        if step % self.every_n_steps == 0 or step == trainer.max_steps or trainer.should_stop:
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of a run that ended with its last epoch."""
        if trainer.state.fn == TrainerFn.FITTING:
            self.save(trainer)


def list_checkpoints(folder: str | Path) -> list[Path]:
    """Return the checkpoints of a folder, newest step first."""
    found = [path for path in Path(folder).glob("*.ckpt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=step_of, reverse=True)


def step_of(path: Path) -> int:
    """Return the optimiser step that a checkpoint's name states."""
    match = _NAME.fullmatch(path.name)
    assert match is not None, f"{path} is none of list_checkpoints"
    return int(match[1])


def find_last(run_folder: str | Path, say: Callable[[str], object] = rank_zero_info) -> Path:
    """Return the newest whole checkpoint of a run.

    Args:
        run_folder: `trainer.default_root_dir` of the run.
        say: Told, in one line each, which damaged files are passed over.

    Raises:
        CheckpointError: There is none.
    """
    folder = Path(run_folder) / FOLDER
    candidates = list_checkpoints(folder)
    for path in candidates:
        problem = find_damage(path)
        if problem is None:
            return path
        say(f"Passing over {path}: {problem}.")
    found = f"{len(candidates)} damaged ones" if candidates else "none"
    raise CheckpointError(
        f"Resuming with --ckpt_path last: expected a checkpoint in {folder}, found {found}. "
        f"Next: leave --ckpt_path out to start from the beginning, or give a file."
    )


def find_damage(path: str | Path) -> str | None:
    """Return what is wrong with a checkpoint file, or None; reads it once and loads nothing."""
    if not Path(path).is_file():
        return "found no such file"
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        return f"found a damaged or foreign file ({str(error) or type(error).__name__})"
    return None if bad is None else f"found a wrong checksum in its part {bad!r}"


def _refuse_non_finite(checkpoint: dict[str, Any]) -> None:
    """Raise when weights, average or optimiser state hold NaN or infinity."""
    tensors = list(_floating(checkpoint, ""))
    for name, tensor in tensors:
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"Saving a checkpoint at step {checkpoint.get('global_step')}: finite values were "
                f"expected, found NaN or infinity in {name}. Nothing was written. Next: resume the "
                f"last checkpoint with a lower learning rate or --trainer.gradient_clip_val 1."
            )


def _floating(value: Any, name: str) -> Any:
    """Yield `(path, tensor)` of the floating tensors in the parts of a checkpoint that train."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield name, value
    elif isinstance(value, dict):
        skipped = () if name else ("callbacks", "loops", "composer_pl")
        for key, item in value.items():
            if key not in skipped:
                yield from _floating(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _floating(item, f"{name}.{i}")


def _sync_folder(folder: Path) -> None:
    """Flush the folder entry, so that the rename outlives a power cut (POSIX only)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
