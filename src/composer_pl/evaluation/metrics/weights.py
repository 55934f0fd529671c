"""Weights of feature networks, read from files that a person names; nothing is downloaded here."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import NoReturn

import torch
from torch import Tensor

from composer_pl.errors import MissingWeightsError
from composer_pl.plugin.digests import file_digest


def checked_file(path: str | Path, *, network: str, digest: str = "") -> tuple[Path, str]:
    """Return a file of weights and its sha256.

    Args:
        path: The file.
        network: Whose weights they are, for messages.
        digest: Beginning of the expected sha256; empty for any. A name that ends in a dash and
            digits, as torch's hub names files (`...-6726825d.pth`), states one too.

    Raises:
        MissingWeightsError: The file is absent, or its digest is another one.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        refuse(network, f"weights in {str(file)!r}, found no such file", "correct the path")
    found = file_digest(file)
    for expected in (digest, _stated(file)):
        if expected and not found.startswith(expected.lower()):
            refuse(
                network,
                f"{str(file)!r} with a sha256 of {expected.lower()}..., found {found[:16]}...",
                "get the file again, or correct the digest",
            )
    return file, found


def read_tensors(file: Path, *, network: str) -> Mapping[str, Tensor]:
    """Tensors by name, from safetensors or from a file of torch that holds nothing but tensors.

    Raises:
        MissingWeightsError: It cannot be read as such.
    """
    if looks_like_torchscript(file):  # torch.load would warn and then run it
        refuse(network, f"tensors in {str(file)!r}, found a TorchScript program", GET_AGAIN)
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError:  # its advice is to run what stands in the file
        refuse(network, f"tensors by name in {str(file)!r}, found something else", GET_AGAIN)
    except Exception as error:  # torch's unpickler meets any bytes with any error
        refuse(network, f"tensors by name in {str(file)!r}, found: {first_line(error)}", GET_AGAIN)
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        refuse(network, f"tensors by name in {str(file)!r}, found other values", GET_AGAIN)
    return state


def looks_like_torchscript(file: Path) -> bool:
    """Whether a file is a program of TorchScript: a zip archive with `code/` in it."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name for name in archive.namelist())


GET_AGAIN = "get the file again, or name another network"


def refuse(network: str, expected: str, advice: str) -> NoReturn:
    """Raise for weights that cannot be used."""
    raise MissingWeightsError(
        f"Loading the feature network {network}: expected {expected}. Next: {advice}."
    )


def first_line(error: BaseException) -> str:
    """What an error of a library says, in one short line: its first, or two if that ends open."""
    lines = [line.strip() for line in f"{type(error).__name__}: {error}".splitlines()]
    open_end = lines[0].endswith(":") and len(lines) > 1
    text = f"{lines[0]} {lines[1]}" if open_end else lines[0]
    return text if len(text) <= 160 else f"{text[:157]}..."


def _stated(file: Path) -> str:
    """The digest that torch's hub writes at the end of a name, or an empty string."""
    end = file.stem.rpartition("-")[2]
    whole = len(end) >= 8 and file.suffix in (".pth", ".pt")
    return end if whole and all(c in "0123456789abcdef" for c in end) else ""
