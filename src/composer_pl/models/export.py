"""A checkpoint of a training run as a model folder, with what the checkpoint tells of the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from composer_pl.models.cards import ModelFacts
from composer_pl.models.description import kind_of
from composer_pl.models.hub import located
from composer_pl.models.storage import (
    DESCRIPTION_KEY,
    EMA_KEY,
    load_model,
    load_prior,
    load_upsampler,
    read_config,
    save_model,
)

_LOADERS = {"base": load_model, "upsampler": load_upsampler, "prior": load_prior}


def export_model(
    path: str | Path,
    folder: str | Path,
    *,
    averaged: bool = True,
    half: bool = False,
    facts: ModelFacts | None = None,
) -> None:
    """Write a model of any kind, with its card, as a folder that `from_pretrained` reads.

    Args:
        path: A checkpoint of `composer-pl fit`, or a model folder, or its name.
        folder: Where to write; see `save_model`.
        averaged: Take the averaged (EMA) weights of a checkpoint.
        half: Write half precision; reading gives float32 in any case.
        facts: What to state of the licence and training; None states what `read_facts` finds.

    Raises:
        CheckpointError: There is no model, it is damaged, or the folder does not take it.
        UnknownConditionError: It needs a plugin that is not installed.
    """
    path = located(path)
    # A file that is no model falls to the first loader, which says so.
    model = _LOADERS.get(kind_of(_header(path)), load_model)(path, averaged=averaged)
    weights = model.state_dict()
    if half:
        weights = {n: w.half() if w.is_floating_point() else w for n, w in weights.items()}
    facts = read_facts(path, averaged=averaged) if facts is None else facts
    save_model(model, folder, weights=weights, facts=facts)


def read_facts(path: str | Path, *, averaged: bool = True) -> ModelFacts:
    """What a model folder or checkpoint tells of its licence and training; empty where nothing.

    Args:
        path: As `load_model` takes it.
        averaged: Whether the averaged weights of a checkpoint are those in use.
    """
    path = located(path)
    header = _header(path)
    if path.is_dir():
        return ModelFacts.from_dict(header)
    training = {}
    if isinstance(steps := header.get("global_step"), int):
        training["optimiser steps"] = f"{steps:,}"
    if isinstance(epoch := header.get("epoch"), int):
        training["epochs begun"] = f"{epoch + 1:,}"
    if training:
        average = averaged and header.get("averaged", False)
        training["weights"] = "average over the run (EMA)" if average else "of the last step"
    return ModelFacts(training=training)


def _header(path: Path) -> Mapping[str, Any]:
    """Description and counters of a folder or checkpoint; empty where they cannot be read."""
    if path.is_dir():
        return read_config(path)
    try:  # mapped, so that the tensors of a large file stay on the disk
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # whoever loads the model says what is wrong with it
        return {}
    if not isinstance(checkpoint, dict):
        return {}
    description = checkpoint.get(DESCRIPTION_KEY)
    counters = {key: checkpoint.get(key) for key in ("global_step", "epoch")}
    about = {**counters, "averaged": checkpoint.get(EMA_KEY) is not None}
    return {**(description if isinstance(description, dict) else {}), **about}
