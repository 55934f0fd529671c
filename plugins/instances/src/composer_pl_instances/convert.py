"""Convert a `.pt` of ultralytics to safetensors, once, without executing anything in it.

A `.pt` is a pickle: loading it in the ordinary way runs whatever code its maker put into it. Here
torch's restricted unpickler reads it, and every class of torch.nn and ultralytics that it names is
replaced by an inert stand-in that only keeps attributes. A file that names anything else is
refused before it is read. From the stand-ins tensors and the network's description are collected;
the network itself is later built by our own code (`networks.load_network`).

    python -m composer_pl_instances.convert yolo11n-seg.pt yolo11n-seg.safetensors
"""

import json
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from composer_pl.plugin import ComposerPLError, UserInputError
from composer_pl_instances.networks import check_description, file_metadata

_KNOWN = re.compile(
    r"torch\.nn\.modules\.\w+\.\w+"
    r"|ultralytics\.nn\.(tasks|modules\.\w+)\.\w+"
    r"|ultralytics\.(yolo\.)?utils\.IterableSimpleNamespace"
    r"|ultralytics\.utils\.(loss|tal)\.\w+"
    r"|numpy\.(_?core\.multiarray\.scalar|dtype|dtypes\.\w+)"
    r"|pathlib\.(_local\.)?(Posix|Windows)Path"
    r"|builtins\.getattr"
)
"""Names that official checkpoints hold. None of them is ever resolved, only stood in for."""


class _Inert:
    """Stands in for every class and function that a checkpoint names; keeps attributes only."""

    def __init__(self, *_: Any):
        pass


def convert(source: Path, target: Path) -> None:
    """Write the network of a checkpoint as safetensors, with all that is needed to build it.

    Tensors keep their precision (official files are half precision). Metadata: `format`, `network`
    (description, JSON), `names` (of classes, JSON), `stride` (JSON), `license`.

    Args:
        source: A `.pt` of ultralytics.
        target: The file to write.

    Raises:
        UserInputError: The file is damaged, holds foreign code, or is no segmentation network.
    """
    from safetensors.torch import save_file

    network = _read(source)
    attributes = vars(network)
    description = _plain(attributes.get("yaml"), source)
    if isinstance(description, dict):
        description.pop("yaml_file", None)  # a path of the machine that trained it
    check_description(description, source)
    names = attributes.get("names")
    names = list(names.values()) if isinstance(names, dict) else names
    names = list(names) if isinstance(names, list | tuple) else []
    tensors = {name: tensor.contiguous().clone() for name, tensor in _tensors(network, source)}
    if isinstance(attributes.get("nc"), int):
        description["nc"] = attributes["nc"]
    metadata = file_metadata(description, names, tensors, source)
    save_file(tensors, target, metadata=metadata)


def _read(source: Path) -> _Inert:
    """Load a checkpoint with inert stand-ins and return its network."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(source))
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise _refusal(source, f"a file that is damaged or of another kind ({error})") from error
    foreign = sorted(name for name in names if not _KNOWN.fullmatch(name))
    if foreign:
        raise _refusal(
            source,
            f"{', '.join(foreign[:3])}, which no such file needs. The file may try to run code; "
            f"nothing in it was executed",
        )
    stand_ins: list[Any] = [(_Inert, name) for name in names]
    try:
        with torch.serialization.safe_globals(stand_ins):
            checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, TypeError, pickle.UnpicklingError) as error:
        raise _refusal(source, f"a file that cannot be read safely ({error})") from error
    if isinstance(checkpoint, dict):
        # As ultralytics does: the moving average if there is one.
        checkpoint = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(checkpoint, _Inert):
        raise _refusal(source, "no network in it")
    return checkpoint


def _tensors(
    module: _Inert, source: Path, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors as `Module.state_dict` would give them."""
    attributes = vars(module)
    if depth > 32:
        raise _refusal(source, "modules nested without end")
    passing = attributes.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, tensor in (attributes.get(kind) or {}).items():
            if isinstance(tensor, Tensor) and not (kind == "_buffers" and name in passing):
                yield prefix + name, tensor.detach()
    for name, child in (attributes.get("_modules") or {}).items():
        if isinstance(child, _Inert):
            yield from _tensors(child, source, f"{prefix}{name}.", depth + 1)


def _plain(value: Any, source: Path) -> Any:
    """Plain data only, as JSON knows it.

    Raises:
        UserInputError: There is something else in it.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise _refusal(source, f"a network description that is no plain data ({error})") from error


def _refusal(source: Path, found: str) -> UserInputError:
    return UserInputError(
        f"Converting {source}: expected a YOLO segmentation checkpoint of ultralytics (v8 or "
        f"later), found {found}. Next: take an official yolo*-seg.pt."
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m composer_pl_instances.convert IN.pt OUT.safetensors`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 2:
        print("usage: python -m composer_pl_instances.convert IN.pt OUT.safetensors")
        return 2
    try:
        convert(Path(arguments[0]), Path(arguments[1]))
    except ComposerPLError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
