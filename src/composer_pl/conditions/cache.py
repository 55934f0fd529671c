"""Extracted values kept on disk, so that small datasets pay for extraction once.

The paper extracts on the fly; at its scale that is right. A few thousand photos on a laptop are
seen hundreds of times, and an edge network costs more there than the model being trained.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from composer_pl.plugin.api import ConditionPlugin
from composer_pl.randomness import derive_key


class ValueCache:
    """Values by (plugin configuration, sample identity), one small file each, in half precision.

    The folder of a condition is named after a digest of everything that its values depend on: the
    plugin's class, package version and configuration, its weights, and the size of values. A change
    in any of them starts a new folder, so a stale value is never read.

    Args:
        folder: Where to keep the values.
        plugin: Whose values.
        version: Version of the plugin's package.
        value_size: Height and width of local values.
        canvas: Side of the source canvas that pictures were cut to.
    """

    def __init__(
        self,
        folder: Path,
        plugin: ConditionPlugin,
        *,
        name: str,
        version: str,
        value_size: tuple[int, int],
        canvas: tuple[int, int],
    ):
        facts = {
            "class": f"{type(plugin).__module__}.{type(plugin).__qualname__}",
            "version": version,
            "config": {k: _settled(v) for k, v in plugin.config().items() if k != "drop_prob"},
            "weights": [weight.sha256 for weight in plugin.weights_in_use()],
            "value_size": list(value_size),
            "canvas": list(canvas),
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        self.folder = folder / f"{name}-{derive_key(text):016x}"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "facts.json").write_text(text + "\n")

    @staticmethod
    def rounded(value: Tensor) -> Tensor:
        """What a value looks like after storage.

        Applied to fresh values too, so a run does not depend on what happened to be cached.
        """
        return value.half().float()

    def read(self, identity: int) -> Tensor | None:
        """The stored value of one sample, or None; a damaged file counts as absent."""
        try:
            return torch.from_numpy(np.load(self._path(identity), allow_pickle=False)).float()
        except (FileNotFoundError, ValueError, EOFError, OSError):
            return None

    def write(self, identities: Int[Tensor, " b"], values: Tensor) -> None:
        """Store values; each file appears whole or not at all."""
        for identity, value in zip(identities.tolist(), values.cpu().half().numpy(), strict=True):
            path = self._path(identity)
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as file:
                np.save(file, value, allow_pickle=False)
            partial.replace(path)

    def _path(self, identity: int) -> Path:
        name = f"{identity:016x}"
        return self.folder / name[-2:] / f"{name}.npy"


def _settled(setting: Any) -> Any:
    """A setting that names a file is settled by the file's content, not by its path."""
    if isinstance(setting, str) and Path(setting).is_file():
        with Path(setting).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return setting
