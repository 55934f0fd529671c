"""The published networks and the shipped one, and how a converted one is built."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from composer_pl.plugin import ConfigError, MissingDependencyError, UserInputError, WeightSpec
from composer_pl_instances import tiny
from composer_pl_instances.quiet import quiet_import

FORMAT = "composer-pl-instances/1"
"""Metadata entry `format` of converted files."""

LAYERS = frozenset(
    (
        *("Conv", "DWConv", "GhostConv", "nn.ConvTranspose2d", "nn.Upsample", "Concat"),
        *("C2f", "C2fCIB", "C2PSA", "C3", "C3k2", "A2C2f", "ADown", "RepNCSPELAN4", "SCDown"),
        *("SPP", "SPPELAN", "SPPF", "Segment", "Segment26"),
    )
)
"""Layers that a network description may name; ultralytics would resolve any global name."""

_ASSETS = "https://github.com/ultralytics/assets/releases/download/v8.4.0"


def _checkpoint(name: str, sha256: str, size: int) -> WeightSpec:
    return WeightSpec(
        name=f"{name}.pt",
        url=f"{_ASSETS}/{name}.pt",
        sha256=sha256,
        size=size,
        license="AGPL-3.0-only",
        origin=f"Ultralytics, {name} trained on COCO, assets release v8.4.0",
        converted=f"{name}.safetensors",
    )


CHECKPOINTS: dict[str, WeightSpec] = {
    "yolo26n-seg": _checkpoint(
        "yolo26n-seg", "361fbfabab285c3237700b6bb91d7ecfa602cd945fffda8dbe1242829b71e73f", 6719965
    ),
    "yolo11n-seg": _checkpoint(
        "yolo11n-seg", "55ed65c56c91713d23e8402371c6c49a6fd84f257f7dce452e8d70e41dcbe152", 6182636
    ),
    "yolov8n-seg": _checkpoint(
        "yolov8n-seg", "a7cd8f929e1903d78a12a48efecab430209f18dc46cb96c3599a5980c63c423c", 7071756
    ),
    "tiny-scenes": WeightSpec(
        name="yolo-tiny-scenes-seg.safetensors",
        url="",
        sha256="d447e7dcb7c0186dddd29254e6684c33d2bd8a848a2673d769dccdd475beea7a",
        size=3_965_994,
        license="AGPL-3.0-only",
        origin="composer-pl, trained on its own procedural scenes; shipped in this package",
        packaged=str(Path(__file__).with_name("weights") / "yolo-tiny-scenes-seg.safetensors"),
    ),
}
"""By the name that `Instances(model=...)` takes. Ultralytics publishes no digests; these are those
that several independent users recorded for the files of that release. The last one is shipped."""

CANVAS = 640
"""Side of the picture that published networks are trained at."""

CANVASES = {"tiny-scenes": tiny.CANVAS}
"""That of the others."""


def load_network(path: Path, model: str = "") -> tuple[Any, tuple[str, ...]]:
    """Build the network of a converted file, frozen and in evaluation mode.

    Args:
        path: Safetensors written by `composer_pl_instances.convert`.
        model: What the file is said to be, a key of `CHECKPOINTS`; empty for anything.

    Returns:
        The network with its normalisations fused, and its class names.

    Raises:
        UserInputError: The file is not a converted network.
        ConfigError: It is the tiny network of scenes and said to be another, or the reverse.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _refusal(path, str(error)) from error
    if metadata.get("format") != FORMAT:
        raise _refusal(path, f"the format {metadata.get('format')!r}")
    try:
        description, names = json.loads(metadata["network"]), json.loads(metadata["names"])
    except (KeyError, ValueError) as error:
        raise _refusal(path, f"damaged metadata ({error})") from error
    if not isinstance(names, list):
        raise _refusal(path, "damaged metadata (names)")
    _check_model(model, description, path)
    network = build_described(description, path)
    if len(names) != network.model[-1].nc:
        raise _refusal(path, f"{len(names)} class names for {network.model[-1].nc} classes")
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise _refusal(path, f"tensors that do not fit the network ({error})") from error
    network.eval().requires_grad_(False)
    network.fuse(verbose=False)
    return network, tuple(str(name) for name in names)


def file_metadata(
    description: dict[str, Any], names: Sequence[str], tensors: dict[str, Tensor], path: Path
) -> dict[str, str]:
    """Metadata of a converted file, after holding tensors and names to the description.

    Args:
        description: Of the network, with its number of classes as `nc`.
        names: Of the classes.
        tensors: What the file will hold.
        path: A file, for messages.

    Raises:
        UserInputError: They do not fit each other.
    """
    plain = json.dumps(description)  # before the library writes into it
    network = build_described(description, path)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise _refusal(path, f"tensors that do not fit its own description ({error})") from error
    classes = network.model[-1].nc
    if len(names) != classes:
        raise _refusal(path, f"{len(names)} class names for {classes} classes")
    return {
        "format": FORMAT,
        "network": plain,
        "names": json.dumps([str(name) for name in names]),
        "stride": json.dumps([float(stride) for stride in network.stride]),
        "license": "AGPL-3.0-only",
    }


def build_described(description: Any, path: Path) -> Any:
    """Check a description that came with a file and build its network, untrained.

    Args:
        description: What the file says.
        path: The file, for messages.

    Raises:
        UserInputError: The description is damaged or names something unknown.
    """
    check_description(description, path)
    try:
        return build_network(description)
    except MissingDependencyError:
        raise
    except Exception as error:  # the library stumbles over damaged numbers in many ways
        raise _refusal(
            path, f"a damaged network description ({type(error).__name__}: {error})"
        ) from error


def build_network(description: dict[str, Any]) -> Any:
    """Build an untrained network of ultralytics from its description.

    The global random state is left as it was.
    """
    tasks = quiet_import("ultralytics.nn.tasks")
    with torch.random.fork_rng(devices=[]):
        return tasks.SegmentationModel(
            description, ch=description.get("channels", 3), verbose=False
        )


def check_description(description: Any, path: Path) -> None:
    """Refuse a description that could name anything but known layers and plain numbers.

    Ultralytics evaluates the entry `activation` as code and looks layer names up among its globals.

    Raises:
        UserInputError: Something else was found.
    """
    if not isinstance(description, dict) or description.get("activation") is not None:
        raise _refusal(path, "a network description with code in it")
    parts = [description.get("backbone"), description.get("head")]
    layers = [layer for part in parts if isinstance(part, list) for layer in part]
    if not layers or not all(
        isinstance(layer, list) and len(layer) == 4 and isinstance(layer[2], str)
        for layer in layers
    ):
        raise _refusal(path, "a damaged network description")
    for _, _, layer, _ in layers:
        if layer not in LAYERS:
            raise _refusal(path, f"the unknown layer {layer!r}")
    if layers[-1][2] not in ("Segment", "Segment26"):
        raise _refusal(path, f"a network that ends in {layers[-1][2]}, which gives no masks")


def _check_model(model: str, description: Any, path: Path) -> None:
    """Hold a file to the name it goes by: photos and scenes have other canvases and classes."""
    found = tiny.is_tiny(description)
    if model and found != (model == "tiny-scenes"):
        other, step = ("the tiny one", "tiny-scenes") if found else ("another one", "its own name")
        raise ConfigError(
            f"Loading instance weights from {path}: expected a network of {model!r}, found "
            f"{other}. Next: set `model` to {step}, or correct `weights_file`."
        )


def _refusal(path: Path, found: str) -> UserInputError:
    return UserInputError(
        f"Loading instance weights from {path}: expected a YOLO segmentation network, found "
        f"{found}. Next: take an official yolo*-seg.pt, or convert yours anew with "
        f"`python -m composer_pl_instances.convert IN.pt OUT.safetensors`."
    )
