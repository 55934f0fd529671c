"""Which model, value and machine it is, whatever their files are called."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from composer_pl.plugin.api import ConditionPlugin


@runtime_checkable
class _Described(Protocol):
    def describe(self) -> dict[str, Any]: ...

    def state_dict(self) -> dict[str, Tensor]: ...


def model_digest(model: _Described) -> str:
    """SHA-256 of a model's architecture, process, conditions and weights.

    The same in float16 on disk and in float32 in memory as long as the numbers are the same.
    """
    digest = hashlib.sha256()
    description = {**model.describe(), "conditions": sorted(model.describe()["conditions"])}
    digest.update(json.dumps(description, sort_keys=True).encode())
    state = model.state_dict()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        if tensor.is_floating_point():
            tensor = tensor.float()
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def value_digest(value: Tensor) -> str:
    """SHA-256 of a value: its type, shape and numbers."""
    value = value.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{value.dtype} {tuple(value.shape)}".encode())
    digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def machine_facts(
    plugins: Mapping[str, ConditionPlugin], used: Iterable[str], device: torch.device
) -> dict[str, Any]:
    """What the last bits of a picture depend on besides model and values.

    Args:
        plugins: Conditions of the model.
        used: Those that were given.
        device: Where it was drawn.
    """
    names = {"composer_pl": "composer-pl", "torch": "torch", "pillow": "pillow"}
    versions = {name: _version(distribution) for name, distribution in names.items()}
    modules = {type(plugins[name]).__module__ for name in used if name in plugins}
    for package in sorted(module.partition(".")[0] for module in modules):
        versions[package] = _version(package.replace("_", "-"))
    return {
        "versions": versions,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "processor": torch.backends.cpu.get_cpu_capability(),
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
