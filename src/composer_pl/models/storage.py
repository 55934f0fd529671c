"""Models on disk: a folder of safetensors and JSON, or the checkpoint of a training run.

Neither can run code: safetensors and JSON hold data only, checkpoints are read with torch's
weights-only unpickler, and plugins are found by name among the installed ones.
"""

import json
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from composer_pl.conditions.manifest import discover
from composer_pl.errors import CheckpointError, nearest
from composer_pl.files import disk_trouble, replacing
from composer_pl.models.base import ComposerModel
from composer_pl.models.cards import CARD, ModelFacts, is_own, model_card
from composer_pl.models.description import ADVICE, Kind, kind_of, named
from composer_pl.models.hub import located
from composer_pl.models.pretrained import CONFIG, WEIGHTS, pretrained_names
from composer_pl.models.prior import PriorModel
from composer_pl.models.upsampler import UpsamplerModel

DESCRIPTION_KEY = "composer_pl"
"""Where a training checkpoint keeps the model's `describe()`."""
EMA_KEY = "composer_pl_ema"
"""Where a training checkpoint keeps the averaged weights, `{"weights": {name: tensor}, ...}`."""
MODEL_PREFIX = "model."
"""Prefix of the model's weights in a training checkpoint's `state_dict`."""

_Model = TypeVar("_Model", ComposerModel, UpsamplerModel, PriorModel)


def save_model(
    model: ComposerModel | UpsamplerModel | PriorModel,
    folder: str | Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    facts: ModelFacts | None = None,
) -> None:
    """Write a model folder: weights, description, and a card where no person wrote one.

    Args:
        model: What to write, a base model, an upsampler or a prior.
        folder: Made when absent; files of an older model in it are replaced.
        weights: Weights to write instead of the model's own, such as an average, or
            halves: what is read back is float32 in any case.
        facts: What its trainer states of licence and training, for the card.

    Raises:
        CheckpointError: The disk is full, or the folder is closed.
    """
    folder = Path(folder)
    state = dict(weights) if weights is not None else model.state_dict()
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in state.items()}
    described, facts = model.describe(), facts or ModelFacts()
    numbers = sum(tensor.numel() for tensor in tensors.values())
    card = model_card(described, parameters=numbers, facts=facts)
    config = json.dumps({**described, **facts.to_dict()}, indent=2) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # All are written before any takes its place: a full disk leaves an older model whole.
        with ExitStack() as files:
            files.enter_context(replacing(folder / CONFIG)).write_text(config)
            if is_own(folder / CARD):
                files.enter_context(replacing(folder / CARD)).write_text(card, encoding="utf-8")
            save_file(tensors, files.enter_context(replacing(folder / WEIGHTS)))
    except (OSError, SafetensorError) as error:
        full = disk_trouble(error)
        reason = full or getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"Saving a model to {str(folder)!r}: a folder that takes it was expected, found: "
            f"{reason}. A model that was there before is whole. Next: "
            f"{'free space' if full else 'correct the permissions'} there, or save elsewhere."
        ) from error


def load_model(path: str | Path, *, averaged: bool = True) -> ComposerModel:
    """Read a model folder, or a checkpoint that `composer-pl fit` wrote.

    Args:
        path: A folder with `config.json` and `model.safetensors`, a `.ckpt` file, or, where none
            lies there, the name of a shipped model (see `composer_pl.models.pretrained`) or of one
            on the Hub (see `composer_pl.models.hub`).
        averaged: Take the averaged (EMA) weights of a checkpoint where it has them.

    Returns:
        The model on the CPU, in evaluation mode, in float32.

    Raises:
        CheckpointError: There is no model, it is damaged, of another kind, or its weights do not
            fit.
        UnknownConditionError: It needs a plugin that is not installed.
    """
    path = located(path)
    description, weights = _read(path, "base", averaged=averaged)
    return _with_weights(ComposerModel.from_description(description), path, description, weights)


def load_upsampler(path: str | Path, *, averaged: bool = True) -> UpsamplerModel:
    """Read the folder or checkpoint of an upsampler, as `load_model` reads a base model's.

    Raises:
        CheckpointError: There is no upsampler, it is damaged, or its weights do not fit.
        UnknownConditionError: It needs a plugin that is not installed.
    """
    path = located(path)
    description, weights = _read(path, "upsampler", averaged=averaged)
    return _with_weights(UpsamplerModel.from_description(description), path, description, weights)


def load_prior(path: str | Path, *, averaged: bool = True) -> PriorModel:
    """Read the folder or checkpoint of a prior, as `load_model` reads a base model's.

    Raises:
        CheckpointError: There is no prior, it is damaged, or its weights do not fit.
        UnknownConditionError: It needs a plugin that is not installed.
    """
    path = located(path)
    description, weights = _read(path, "prior", averaged=averaged)
    return _with_weights(PriorModel.from_description(description), path, description, weights)


def _read(path: Path, kind: Kind, *, averaged: bool) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """Description and weights of a model of one kind."""
    if path.is_dir():
        description, weights = _read_folder(path)
    elif path.is_file():
        description, weights = _read_checkpoint(path, averaged=averaged)
    else:
        shipped = pretrained_names()
        found = f"nothing there{nearest(str(path), shipped)}"
        advice = f"{_CORRECT}, or name a shipped model ({', '.join(shipped)})"
        advice = advice if shipped else _CORRECT
        raise _refusal(path, "a model folder or a checkpoint", found, advice)
    if "format" in description and (found := kind_of(description)) != kind:
        raise _refusal(path, named(kind), named(found), ADVICE[kind])
    return description, weights


def _with_weights(
    model: _Model, path: Path, description: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> _Model:
    """The model with its weights, ready to sample."""
    if problem := _misfit(model.state_dict(), weights):
        packages = _other_packages(description)
        advice = (
            f"install the plugin versions that it was trained with: {packages}"
            if packages
            else f"give another copy of it, whose weights belong to its {CONFIG}"
        )
        described = "description or the installed plugins" if packages else "description"
        raise CheckpointError(
            f"Loading a model from {str(path)!r}: its weights do not fit its own {described} "
            f"({problem}). Next: {advice}."
        )
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a model folder; empty where it is none that composer-pl wrote."""
    try:
        description = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return description if isinstance(description, dict) else {}


def _read_folder(folder: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    try:
        description = json.loads((folder / CONFIG).read_text())
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        advice = "give a folder that composer-pl wrote, or a .ckpt file"
        raise _refusal(folder, f"{CONFIG} and {WEIGHTS}", _first_line(error), advice) from error
    if not isinstance(description, dict):
        description = {}
    return description, {  # tables of integers keep their digits
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def _read_checkpoint(path: Path, *, averaged: bool) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    expected = "a checkpoint of `composer-pl fit` that holds tensors and plain data only"
    if path.name in (WEIGHTS, CONFIG):
        raise _refusal(
            path, "a folder or a .ckpt file", "one file of a folder", f"give {path.parent}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on files that are none of ours
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        # torch's own words would tell people to load it unsafely.
        found = "a file that is none, or that would run code when read"
        raise _refusal(path, expected, found, "give another checkpoint") from error
    except Exception as error:  # bytes from anywhere make the reader raise almost anything
        ours = isinstance(error, OSError) or _begins_as_one(path)
        found = _first_line(error) if ours else "a file of another kind"
        raise _refusal(path, expected, found, "give another checkpoint") from error
    parts = checkpoint if isinstance(checkpoint, dict) else {}
    description, state = parts.get(DESCRIPTION_KEY), parts.get("state_dict")
    average = parts.get(EMA_KEY) if averaged else None
    if average is not None:
        weights = average.get("weights") if isinstance(average, dict) else None
    elif isinstance(state, dict):
        weights = {
            str(name).removeprefix(MODEL_PREFIX): tensor
            for name, tensor in state.items()
            if str(name).startswith(MODEL_PREFIX)
        }
    else:
        weights = None
    if not isinstance(description, dict) or not isinstance(weights, dict):
        keys = ", ".join(map(str, parts)) or type(checkpoint).__name__
        raise _refusal(path, expected, f"one of something else ({keys[:80]})", _CORRECT)
    return description, weights


def _begins_as_one(path: Path) -> bool:
    """Whether a file that cannot be read is a damaged checkpoint: torch writes zip archives."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


_CORRECT = "correct the path, or train one with `composer-pl fit`"


def _refusal(path: Path, expected: str, found: str, advice: str) -> CheckpointError:
    end = "" if found.endswith("?") else "."
    return CheckpointError(
        f"Loading a model from {str(path)!r}: expected {expected}, found {found}{end} "
        f"Next: {advice}."
    )


def _misfit(wanted: Mapping[str, Tensor], weights: Mapping[str, Any]) -> str:
    """The first weight that is missing, foreign or of another shape; empty when all fit."""
    for name, tensor in wanted.items():
        found = weights.get(name)
        if not isinstance(found, Tensor):
            return f"{name} is missing"
        if found.shape != tensor.shape:
            return f"{name} is {tuple(found.shape)}, expected {tuple(tensor.shape)}"
    foreign = next((str(name) for name in weights if name not in wanted), None)
    return f"{foreign} belongs to no part of the model" if foreign else ""


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}"


def _other_packages(description: Mapping[str, Any]) -> str:
    """Plugins of a model that are installed in another version than it was trained with."""
    installed = discover()
    other = set()
    for made_with in description.get("conditions", {}).values():
        here = installed.get(str(made_with.get("plugin")))
        if here is None or here.version != made_with.get("version"):
            other.add(f"{made_with.get('distribution')} {made_with.get('version')}")
    return ", ".join(sorted(other))
