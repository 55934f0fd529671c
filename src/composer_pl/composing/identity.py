"""Which model it is, whatever its file is called: a digest of its description and weights."""

import hashlib
import json
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


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
