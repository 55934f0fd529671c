"""Which CLIPs there are, and which one a configuration means.

This file stands in composer-pl-caption and composer-pl-semantics with the same text, as neither
package may need the other; a test holds them equal.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from composer_pl.plugin import ConfigError, MissingWeightsError, WeightSpec

from .shipped import MADE_OF, TINY_SCENES


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Sizes of a CLIP with two transformers, and what its pictures are normalised with.

    Attributes:
        embed_dim: Width of the space that pictures and sentences share.
        image_size: Side of the pictures it reads.
        quick_gelu: True for x * sigmoid(1.702 x), which OpenAI's weights were trained with; the
            ordinary GELU gives other embeddings from the same weights without any error.
        mean: Of each colour channel in [0, 1].
        std: Of each colour channel in [0, 1].
    """

    embed_dim: int
    image_size: int
    patch_size: int
    vision_width: int
    vision_layers: int
    text_width: int
    text_heads: int
    text_layers: int
    quick_gelu: bool
    context_length: int = 77
    vision_head_width: int = 64
    vision_mlp_ratio: float = 4.0
    text_mlp_ratio: float = 4.0
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)


VOCABULARY = 49408
"""Entries of CLIP's byte-pair vocabulary, the only one that the tokenizer knows."""

CONFIG_NAME = "open_clip_config.json"
"""The architecture beside weights in open_clip's folder layout."""


def _large(image_size: int) -> Architecture:
    return Architecture(
        embed_dim=768,
        image_size=image_size,
        patch_size=14,
        vision_width=1024,
        vision_layers=24,
        text_width=768,
        text_heads=12,
        text_layers=12,
        quick_gelu=True,
    )


_TINY_SCENES = Architecture(
    embed_dim=160,
    image_size=64,
    patch_size=8,
    vision_width=160,
    vision_layers=5,
    vision_head_width=32,
    text_width=96,
    text_heads=3,
    text_layers=4,
    context_length=64,
    quick_gelu=False,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

MODELS = {
    "ViT-L-14": _large(224),
    "ViT-L-14-336": _large(336),
    "tiny-scenes": _TINY_SCENES,
}
"""Models known by name; each has one file of weights, so a name never means random ones."""

_FILES = "https://openaipublic.azureedge.net/clip/models"
_ORIGIN = "OpenAI, Radford et al. 2021, Learning Transferable Visual Models"

WEIGHTS = {
    "ViT-L-14": WeightSpec(
        name="clip-vit-l-14-openai.pt",
        url=f"{_FILES}/b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
        sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        size=932_768_134,
        license="MIT",
        origin=_ORIGIN,
        converted="clip-vit-l-14-openai.safetensors",
    ),
    "ViT-L-14-336": WeightSpec(
        name="clip-vit-l-14-336px-openai.pt",
        url=f"{_FILES}/3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
        sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        size=934_088_680,
        license="MIT",
        origin=_ORIGIN,
        converted="clip-vit-l-14-336px-openai.safetensors",
    ),
    "tiny-scenes": TINY_SCENES,
}


# -- what a configuration means --------------------------------------------------------------------


def architecture(model: str, weights_file: str | None) -> Architecture:
    """Return the sizes: those beside `weights_file` where it brings some, else those of `model`.

    Raises:
        MissingWeightsError: The folder `weights_file` is absent.
        ConfigError: The folder's configuration is unreadable or is no plain CLIP.
    """
    if weights_file is None:
        return MODELS[model]
    place = Path(weights_file).expanduser()
    config = (place if place.is_dir() else place.parent) / CONFIG_NAME
    if config.is_file():
        return _read_config(config)
    if place.suffix in (".safetensors", ".pt"):
        return MODELS[model]
    found = "a folder without it" if place.is_dir() else "no such folder"
    raise MissingWeightsError(
        f"Loading CLIP from {weights_file!r}: expected a .safetensors or .pt file, or a folder "
        f"with {CONFIG_NAME} and one .safetensors, found {found}. Next: correct weights_file, or "
        f"leave it out and run `composer-pl plugins fetch caption`."
    )


def identity(model: str, weights_file: str | None) -> str:
    """Return what tells one set of weights from another: 16 digits of a sha256.

    It is that of the original file where a converted one names it, and that of the trained state
    for the tiny CLIP, which caption and semantics ship in different files. Where nothing is there
    to be read, as on a machine that only samples, the path stands for it.
    """
    if weights_file is None:
        spec = WEIGHTS[model]
        return (MADE_OF if spec.packaged else spec.sha256)[:16]
    try:
        place = tensors_path(weights_file)
        if place.suffix == ".safetensors":
            with safe_open(place, framework="pt") as file:
                made_of = (file.metadata() or {}).get("made_of")
            if made_of:
                return made_of[:16]
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, SafetensorError):  # MissingWeightsError is an OSError too
        return weights_file


def tensors_path(weights_file: str) -> Path:
    """Return the file that `weights_file` means: itself, or the one .safetensors in a folder.

    Raises:
        MissingWeightsError: A folder holds none or several.
    """
    place = Path(weights_file).expanduser()
    if not place.is_dir():
        return place
    found = sorted(place.glob("*.safetensors"))
    for name in ("open_clip_model.safetensors", "model.safetensors"):
        if place / name in found:
            return place / name
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise MissingWeightsError(
            f"Loading CLIP from the folder {weights_file!r}: expected one .safetensors, found "
            f"{names}. Next: give the path of the file itself."
        )
    return found[0]


_VISION = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "width": "vision_width",
    "layers": "vision_layers",
    "head_width": "vision_head_width",
    "mlp_ratio": "vision_mlp_ratio",
}
_TEXT = {
    "context_length": "context_length",
    "width": "text_width",
    "heads": "text_heads",
    "layers": "text_layers",
    "mlp_ratio": "text_mlp_ratio",
}


def _read_config(path: Path) -> Architecture:
    """Read open_clip's folder configuration; refuse what is not a plain CLIP."""

    def refuse(found: str) -> ConfigError:
        return ConfigError(
            f"Reading the CLIP configuration {path}: expected open_clip's layout of a CLIP with "
            f"two plain transformers, found {found}. Next: use another model, or correct the file."
        )

    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = dict(config["model_cfg"])
        vision, text = dict(model.pop("vision_cfg")), dict(model.pop("text_cfg"))
        preprocess = dict(config.get("preprocess_cfg") or {})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise refuse(f"{type(error).__name__}: {error}") from error
    if text.pop("vocab_size", VOCABULARY) != VOCABULARY:
        raise refuse(f"a vocabulary that is not CLIP's {VOCABULARY} byte pairs")
    fields: dict[str, object] = {
        "embed_dim": model.pop("embed_dim", None),
        "quick_gelu": model.pop("quick_gelu", False),  # open_clip's default
    }
    for part, names in ((vision, _VISION), (text, _TEXT)):
        fields |= {names[key]: part.pop(key) for key in list(part) if key in names}
    unknown = sorted({**model, **vision, **text})
    if unknown:
        raise refuse(f"the setting {unknown[0]!r}")
    for key in ("mean", "std"):
        if key in preprocess:
            fields[key] = tuple(float(number) for number in preprocess[key])
    wrong = [
        name
        for name, value in fields.items()
        if name not in ("quick_gelu", "mean", "std")
        and not (isinstance(value, float if "ratio" in name else int) and value > 0)
    ]
    if wrong:
        raise refuse(f"{wrong[0]} = {fields[wrong[0]]!r}")
    try:
        return Architecture(**fields)  # type: ignore[arg-type]
    except TypeError as error:
        raise refuse(str(error)) from error
