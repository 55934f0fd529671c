"""A CLIP of open_clip with weights from a file: for CLIP score, and as a feature network."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from composer_pl.errors import UserInputError, nearest
from composer_pl.evaluation.metrics.weights import (
    GET_AGAIN,
    checked_file,
    first_line,
    looks_like_torchscript,
    refuse,
)
from composer_pl.plugin.requirements import require

OPENAI = {
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": "ViT-B-32-quickgelu",
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836": "ViT-L-14-quickgelu",
}
"""OpenAI's own files and the only architecture that fits each.

They load without a word into `ViT-B-32` too, which has another activation and gives other scores.
"""

_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Weights in a folder of the Hub, in the order in which open_clip takes them."""


@dataclass(frozen=True, kw_only=True)
class ClipNetwork:
    """A CLIP, ready for pictures and captions.

    Attributes:
        name: Its architecture as open_clip calls it.
        digest: sha256 of the weights.
        published: Whether the weights are known to be OpenAI's.
        model: Frozen, with `encode_image` and `encode_text`.
        preprocess: One RGB picture -> what `encode_image` takes, without the batch axis.
        tokenize: Captions -> what `encode_text` takes, cut to the context with the end token kept.
        side: Pixels of the pictures that it takes.
        mean: Of the three channels in [0, 1], subtracted.
        std: Of the three channels, divided by.
    """

    name: str
    digest: str
    published: bool = False
    model: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def clip_network(
    name: str, path: str | Path, *, digest: str = "", device: torch.device | str = "cpu"
) -> ClipNetwork:
    """Load a CLIP.

    Args:
        name: An architecture of open_clip, such as `ViT-B-32-quickgelu`; for a folder, a name to
            call it by.
        path: A file of weights, or a folder with `open_clip_config.json` and weights beside it.
        digest: Beginning of the expected sha256 of the weights; empty for any.
        device: Where it runs.

    Raises:
        UserInputError: open_clip knows no such architecture, or it is not that of the weights.
        MissingWeightsError: The weights are absent, other ones, or of another architecture.
        MissingDependencyError: open_clip is not installed.
    """
    open_clip = require(
        "open_clip", needed_by=f"The feature network clip:{name}", install="composer-pl[eval]"
    )
    place = Path(path).expanduser()
    source, label = name, f"clip:{name}"
    if place.is_dir():
        source = f"local-dir:{place}"
        there = [place / file for file in _FILES if (place / file).is_file()]
        if not there or not (place / "open_clip_config.json").is_file():
            refuse(
                label,
                f"open_clip_config.json and weights in {str(place)!r}, found other files",
                "correct the path",
            )
        place = there[0]
    elif name not in open_clip.list_models():
        raise UserInputError(
            f"Loading the feature network {label}: expected an architecture of open_clip, found "
            f"{name!r}{nearest(name, open_clip.list_models())}. Next: correct it."
        )
    file, found = checked_file(place, network=label, digest=digest)
    published = found in OPENAI
    if published and source == name != OPENAI[found]:
        raise UserInputError(
            f"Loading the feature network {label}: expected the architecture {OPENAI[found]}, with "
            f"whose activation these weights of OpenAI were trained, found {name}. Next: "
            f"clip:{OPENAI[found]}:{path}."
        )
    if looks_like_torchscript(file) and not published:  # a program; only a known one is run
        refuse(label, f"tensors in {str(file)!r}, found a TorchScript program", GET_AGAIN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, OpenAI's files are not
            model, _, preprocess = open_clip.create_model_and_transforms(
                source,
                pretrained=str(file) if source == name else None,
                device=device,
                weights_only=not published,
            )
            tokenizer = open_clip.get_tokenizer(source)
    except Exception as error:  # open_clip raises whatever torch, JSON and the Hub raise
        refuse(
            label,
            f"weights of that architecture in {str(file)!r}, found: {first_line(error)}",
            GET_AGAIN,
        )
    return wrapped_clip(model, preprocess, tokenizer, name=name, digest=found, published=published)


def wrapped_clip(
    model: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    tokenize: Callable[[list[str]], Tensor],
    *,
    name: str,
    digest: str,
    published: bool = False,
) -> ClipNetwork:
    """Wrap a CLIP that open_clip made, whatever its weights."""
    visual: Any = model.visual
    side = visual.image_size
    settings = getattr(visual, "preprocess_cfg", {}) or {}
    return ClipNetwork(
        name=name,
        digest=digest,
        published=published,
        model=model.eval().requires_grad_(False),
        preprocess=preprocess,
        tokenize=tokenize,
        side=side if isinstance(side, int) else side[0],
        mean=_three(settings.get("mean") or visual.image_mean),
        std=_three(settings.get("std") or visual.image_std),
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = values
    return float(first), float(second), float(third)
