"""Work in blocks that are either whole or absent.

A block is a run of rows, always the same rows, whoever works on it: so what is done together does
not depend on how the work is shared or where it was interrupted, and the last bits do not either.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from composer_pl.errors import UserInputError
from composer_pl.evaluation.measurement import flattened, shown_setting
from composer_pl.files import replacing

BLOCK = 32
"""Rows of a block: what is lost at most when a process is killed."""


@dataclass(frozen=True)
class Shard:
    """One of several processes that share the blocks without overlap.

    Attributes:
        index: Which, from 0.
        count: Of how many.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `2/4`, the second of four.

        Raises:
            UserInputError: It is something else.
        """
        index, slash, count = text.partition("/")
        if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index) - 1, int(count))
        raise UserInputError(
            f"Reading --shard {text!r}: expected I/N with I from 1 to N, such as 2/4. "
            f"Next: correct it."
        )


@dataclass(frozen=True)
class Block:
    """Rows `start` to `stop` of a list.

    Attributes:
        number: Its place among the blocks; it also names its files.
        start: First row.
        stop: The row after the last.
    """

    number: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """For indexing the list."""
        return slice(self.start, self.stop)

    @property
    def name(self) -> str:
        """Of its folder or file."""
        return f"{self.number:06d}"


def blocks_of(count: int, *, size: int = BLOCK) -> list[Block]:
    """The blocks of a list of `count` rows.

    The last one is shorter where `size` does not divide `count`; nothing is padded.
    """
    return [
        Block(number, start, min(start + size, count))
        for number, start in enumerate(range(0, count, size))
    ]


def begin(folder: Path, file: str, manifest: Mapping[str, Any], *, doing: str) -> None:
    """Make a folder of blocks for a manifest, or find that it is of the same one.

    Args:
        folder: Where the blocks lie.
        file: Name of the manifest's file in it.
        manifest: Plain JSON of all that decides the blocks.
        doing: Begins the message.

    Raises:
        UserInputError: The folder's blocks were made in another way.
    """
    path = folder / file
    wanted = json.loads(json.dumps(manifest))
    if path.is_file():
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            found = None
        if found == wanted:
            return
        raise UserInputError(
            f"{doing}: expected {folder} to hold what was begun in the same way, found "
            f"{_unlike(found, wanted)} in {file}. Next: give another --out, or remove that folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1), "utf-8")


def _unlike(found: Any, wanted: Mapping[str, Any]) -> str:
    """What differs, such as `recipe.steps 25, not 50`."""
    if not isinstance(found, dict):
        return "no manifest that can be read"
    there, now = flattened(found), flattened(wanted)
    said = [
        f"{name} {_value(there, name)}, not {_value(now, name)}"
        for name in {**now, **there}
        if there.get(name, _NOTHING) != now.get(name, _NOTHING)
    ]
    return "; ".join(said[:6]) + (f"; and {len(said) - 6} more" if len(said) > 6 else "")


_NOTHING = object()


def _value(flat: Mapping[str, Any], name: str) -> str:
    return shown_setting(flat[name]) if name in flat else "absent"


# -- pictures --------------------------------------------------------------------------------------


def write_pictures(
    folder: Path, block: Block, names: Sequence[str], pictures: UInt8[Tensor, "b 3 h w"]
) -> None:
    """Write a block of pictures as PNG; it gets its name when all of them are on the disk.

    Where another process was there first, its pictures stay: they are the same. It may even have
    finished the whole run and swept away what is being written here.
    """
    target = folder / block.name
    # Machines that share the folder may have processes of one number, so that alone is no name.
    temporary = folder / f".{os.getpid()}-{secrets.token_hex(4)}-{block.name}"
    try:
        temporary.mkdir(parents=True)
        for name, picture in zip(names, pictures, strict=True):
            pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
            with (temporary / name).open("wb") as file:
                Image.fromarray(pixels).save(file, "PNG")
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)  # gives a full disk its space back
        if not target.is_dir():
            raise


def read_pictures(folder: Path, block: Block, names: Sequence[str]) -> UInt8[Tensor, "b 3 h w"]:
    """Read a block that `write_pictures` wrote.

    Raises:
        UserInputError: A picture is missing or damaged.
    """
    read = []
    for name in names:
        path = folder / block.name / name
        try:
            with Image.open(path) as picture:
                read.append(torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserInputError(
                f"Reading a drawn picture: expected {path}, found {error}. Next: remove the folder "
                f"{path.parent} and give the command again, which draws it anew."
            ) from error
    return torch.stack(read)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left unfinished; none may be at work."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)


# -- numbers ---------------------------------------------------------------------------------------


def write_rows(
    path: Path,
    ids: Int[Tensor, " b"],
    values: Float[Tensor, "b d"],
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write the numbers of a block's rows with their ids; a rival may have been first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"ids": ids.contiguous(), "values": values.contiguous().cpu()}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata=dict(notes or {}))
    except FileNotFoundError:
        if not path.is_file():
            raise


def read_rows(path: Path, ids: Int[Tensor, " b"]) -> tuple[Float[Tensor, "b d"], dict[str, str]]:
    """Read what `write_rows` wrote, and hold its ids against those that it should have.

    Raises:
        UserInputError: The file is missing, damaged, or of other rows.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found, values = file.get_tensor("ids"), file.get_tensor("values")
            notes = dict(file.metadata() or {})
        if not torch.equal(found, ids) or values.ndim != 2 or len(values) != len(ids):
            raise ValueError("rows of other pictures")
    except (OSError, SafetensorError, ValueError) as error:
        raise UserInputError(
            f"Reading numbers of pictures from {path}: expected those of {len(ids)} pictures, "
            f"found {error}. Next: remove that file and give the command again."
        ) from error
    return values, notes
