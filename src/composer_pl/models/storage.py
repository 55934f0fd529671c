"""Models on disk: a folder of safetensors and JSON, or the checkpoint of a training run.

Neither can run code: safetensors and JSON hold data only, checkpoints are read with torch's
weights-only unpickler, and plugins are found by name among the installed ones.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from composer_pl.errors import CheckpointError
from composer_pl.models.base import ComposerModel

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
DESCRIPTION_KEY = "composer_pl"
"""Where a training checkpoint keeps `ComposerModel.describe()`."""
EMA_KEY = "composer_pl_ema"
"""Where a training checkpoint keeps the averaged weights, `{"weights": {name: tensor}, ...}`."""
MODEL_PREFIX = "model."
"""Prefix of the model's weights in a training checkpoint's `state_dict`."""


def save_model(
    model: ComposerModel, folder: str | Path, *, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write a model folder.

    Args:
        model: What to write.
        folder: Made when absent; files of an older model in it are replaced.
        weights: Weights to write instead of the model's own, such as an average.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = dict(weights) if weights is not None else model.state_dict()
    partial = folder / (WEIGHTS + ".partial")
    save_file({name: tensor.detach().contiguous().cpu() for name, tensor in state.items()}, partial)
    partial.replace(folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(model.describe(), indent=2) + "\n")


def load_model(path: str | Path, *, averaged: bool = True) -> ComposerModel:
    """Read a model folder, or a checkpoint that `composer-pl fit` wrote.

    Args:
        path: A folder with `config.json` and `model.safetensors`, or a `.ckpt` file.
        averaged: Take the averaged (EMA) weights of a checkpoint where it has them.

    Returns:
        The model on the CPU, in evaluation mode, in float32.

    Raises:
        CheckpointError: There is no model, it is damaged, or its weights do not fit.
        UnknownConditionError: It needs a plugin that is not installed.
    """
    path = Path(path)
    if path.is_dir():
        description, weights = _read_folder(path)
    elif path.is_file():
        description, weights = _read_checkpoint(path, averaged=averaged)
    else:
        raise CheckpointError(
            f"Loading a model from {str(path)!r}: expected a model folder or a checkpoint, found "
            f"nothing there. Next: correct the path, or train one with `composer-pl fit`."
        )
    model = ComposerModel.from_description(description)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"Loading a model from {str(path)!r}: its weights do not fit its own description or "
            f"the installed plugins ({_first_line(error)}). Next: install the plugin versions that "
            f"it was trained with: {_packages(description)}."
        ) from error
    return model.eval().requires_grad_(False)


def _read_folder(folder: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    try:
        description = json.loads((folder / CONFIG).read_text())
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"Loading a model from {str(folder)!r}: expected {CONFIG} and {WEIGHTS}, found "
            f"{_first_line(error)}. Next: give a folder that composer-pl wrote, or a .ckpt file."
        ) from error
    if not isinstance(description, dict):
        description = {}
    return description, {name: tensor.float() for name, tensor in weights.items()}


def _read_checkpoint(path: Path, *, averaged: bool) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        description = checkpoint[DESCRIPTION_KEY]
        average = checkpoint.get(EMA_KEY) if averaged else None
        if average is not None:
            return description, dict(average["weights"])
        state = checkpoint["state_dict"]
    except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"Loading a model from {str(path)!r}: expected a checkpoint of `composer-pl fit` that "
            f"holds tensors and plain data only, found {_first_line(error)}. "
            f"Next: give another checkpoint."
        ) from error
    return description, {
        name.removeprefix(MODEL_PREFIX): tensor
        for name, tensor in state.items()
        if name.startswith(MODEL_PREFIX)
    }


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


def _packages(description: Mapping[str, Any]) -> str:
    conditions = description.get("conditions", {}).values()
    return ", ".join(sorted({f"{c.get('distribution')} {c.get('version')}" for c in conditions}))
