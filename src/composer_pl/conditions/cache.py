"""Extracted values kept on disk, so that small datasets pay for extraction once.

The paper extracts on the fly; at its scale that is right. A few thousand photos on a laptop are
seen hundreds of times, and an edge network costs more there than the model being trained.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from composer_pl.errors import UserInputError
from composer_pl.files import beside
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.plugin.digests import file_digest, weights_folder
from composer_pl.randomness import derive_key


class ValueCache:
    """Values by (plugin configuration, sample identity), one small file each.

    Floating-point values are kept in half precision, or in full where half would overflow; integers
    are kept as they are.

    The folder of a condition is named after a digest of everything that its values depend on: the
    plugin's class, package version and configuration, its weights, and the sizes of values and
    canvas. A change in any of them starts a new folder, so a stale value is never read.

    Args:
        folder: Where to keep the values.
        plugin: Whose values.
        name: The condition's name, for people who look into the folder.
        version: Version of the plugin's package.
        value_size: Height and width of local values.
        canvas: Height and width of the source canvas that pictures were cut to.

    Raises:
        UserInputError: The folder cannot be written.
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
            "weights": [
                weight.sha256 or _settled(str(weights_folder() / weight.name))
                for weight in plugin.weights_in_use()
            ],
            "value_size": list(value_size),
            "canvas": list(canvas),
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        self.folder = folder / f"{name}-{derive_key(text):016x}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "facts.json").write_text(text + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    @staticmethod
    def rounded(values: Tensor) -> Tensor:
        """What a batch of values looks like after storage.

        Applied to fresh values too, so a run does not depend on what happened to be cached.
        """
        return torch.stack([_widened(_stored(value)) for value in values])

    def read(self, identity: int) -> Tensor | None:
        """The stored value of one sample, or None; a damaged file counts as absent."""
        try:
            return _widened(torch.from_numpy(np.load(self._path(identity), allow_pickle=False)))
        except (FileNotFoundError, ValueError, EOFError, OSError):
            return None

    def write(self, identities: Int[Tensor, " b"], values: Tensor) -> None:
        """Store values; each file appears whole or not at all.

        Raises:
            UserInputError: The folder cannot be written, or the disk is full.
        """
        for identity, value in zip(identities.tolist(), values.cpu(), strict=True):
            path = self._path(identity)
            partial = beside(path)  # `replacing` waits for the disk, too long for each sample
            try:
                path.parent.mkdir(exist_ok=True)
                with partial.open("wb") as file:
                    np.save(file, _stored(value).numpy(), allow_pickle=False)
                partial.replace(path)
            except OSError as error:
                raise self._unwritable(error) from error
            finally:
                with suppress(OSError):
                    partial.unlink()

    def _unwritable(self, error: OSError) -> UserInputError:
        return UserInputError(
            f"Keeping extracted values in {self.folder}: expected a folder that can be written, "
            f"found: {error.strerror or error}. Next: free space or correct permissions there, or "
            f"set model.cache_dir to another folder (null extracts anew each time)."
        )

    def _path(self, identity: int) -> Path:
        name = f"{identity:016x}"
        return self.folder / name[-2:] / f"{name}.npy"


def _stored(value: Tensor) -> Tensor:
    """Half precision, a relative error of 2**-11, where it holds the value."""
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(half.isfinite().all()) else value.float()


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _settled(setting: Any) -> Any:
    """A setting that names a file is settled by the file's content, not by its path.

    One that names a folder, such as a model of transformers, by what lies in it.
    """
    if not isinstance(setting, str) or not setting:
        return setting
    path = Path(setting).expanduser()
    with suppress(OSError):  # a text too long for a path, a file that cannot be read
        if path.is_file():
            return file_digest(path)
        if path.is_dir():
            states = [(entry.name, entry.stat()) for entry in sorted(path.iterdir())]
            return [setting, [[name, state.st_size, state.st_mtime_ns] for name, state in states]]
    return setting
