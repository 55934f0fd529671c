"""Pictures that carry everything that made them, and the way back from such a picture.

A PNG gets two chunks: readable JSON (`composer-pl`: recipe, seed, texts, digests of conditions and
models, versions) and `coPl`, the drawing itself: a compressed safetensors file, so reading a
stranger's picture runs no code. Writing and reading stand in one file, as they change together.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing, Made
from composer_pl.composing.identity import machine_facts, value_digest
from composer_pl.composing.parts import Parts
from composer_pl.composing.placing import levels
from composer_pl.errors import UserInputError
from composer_pl.files import replacing
from composer_pl.models.recipe import SamplingRecipe, recipe_from_dict, recipe_to_dict
from composer_pl.models.regions import carried
from composer_pl.models.tiling import Tiling

CHUNK = b"coPl"
TEXT = "composer-pl"
FORMAT = 1
TOLD = 2
"""What the readable chunk tells: 1, of before, left upsampling, size, noise and masks out."""
AUTOCAST = ("bfloat16", "float16")
_MOST = 512 * 2**20  # bytes of a record when unpacked: a stranger's may be a bomb
_HEADER = "__record__"
_DAMAGE = (
    KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError,
    SafetensorError, zlib.error,
)  # fmt: skip
_MOST_THREADS = 4096


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a picture says of itself.

    Attributes:
        drawing: What it was made from.
        index: Which of the drawing's pictures it is.
        models: `base` and `upsampler` -> digest and name.
        machine: Versions, threads and device, on which the last bits depend.
        told: See `TOLD`; an older picture made again tells what it told.
    """

    drawing: Drawing
    index: int
    models: Mapping[str, Mapping[str, str]]
    machine: Mapping[str, Any]
    told: int = TOLD


def write_pictures(out: Path, made: Made, composer: Composer, *, first: int = 0) -> list[Path]:
    """Write all pictures of a drawing; see `write_each`."""
    return list(write_each(out, made, composer, first=first))


def write_each(
    out: Path, made: Made, composer: Composer, *, first: int = 0, index: int = 0
) -> Iterator[Path]:
    """Write pictures as `000.png` and so on, each with its record.

    Args:
        out: Folder that exists.
        made: The pictures and their drawing.
        composer: Whose pictures they are.
        first: Number of the first file.
        index: Which of the drawing's pictures the first one is.

    Yields:
        Each file when it is whole.
    """
    drawing = replace(made.drawing, recipe=_self_contained(made.drawing.recipe))
    if drawing.upsampling is not None:
        drawing = replace(drawing, upsampling=_self_contained(drawing.upsampling))
    models = composer.identity
    machine = machine_facts(composer.model.plugins, drawing.parts, composer.device)
    for number, picture in enumerate(made.pictures):
        record = Record(drawing=drawing, index=index + number, models=models, machine=machine)
        path = out / f"{first + number:03d}.png"
        with replacing(path) as temporary:
            picture.save(temporary, "PNG", pnginfo=record_chunks(record))
        yield path


def read_record(path: str | Path) -> Record:
    """The record of a picture.

    Raises:
        UserInputError: The file is no PNG, or its record is absent, damaged or of another version.
    """
    doing = f"Reading the recipe of {str(path)!r}"
    try:
        with Image.open(path) as picture:
            picture.load()
            chunks = [c[1] for c in getattr(picture, "private_chunks", []) if c[0] == CHUNK]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserInputError(
            f"{doing}: expected a picture, found none that can be read ({error}). "
            f"Next: correct the path."
        ) from error
    if not chunks:
        raise UserInputError(
            f"{doing}: expected a PNG that composer-pl wrote, found one without a recipe. Next: "
            f"give the original file; editors and messengers drop it."
        )
    try:
        return _unpacked(chunks[0])
    except UserInputError as error:
        raise UserInputError(f"{doing}: {error}") from error
    except _DAMAGE as error:
        raise UserInputError(
            f"{doing}: expected a record of this version, found a damaged or foreign one "
            f"({type(error).__name__}: {error}). Next: give the original file."
        ) from error


# -- to bytes and back -----------------------------------------------------------------------------


def record_chunks(record: Record) -> PngInfo:
    """The two chunks of a picture."""
    info = PngInfo()
    info.add_text(TEXT, json.dumps(summary(record), sort_keys=True))
    info.add(CHUNK, _packed(record))
    return info


def summary(record: Record) -> dict[str, Any]:
    """For people, and for programs that look for a caption or a seed."""
    drawing = record.drawing

    def told(parts: Parts) -> dict[str, Any]:
        found = {n: {"from": parts.notes[n], "sha256": value_digest(v)} for n, v in parts.items()}
        for name in parts:
            if "prior" in parts.facts.get(name, {}):
                found[name]["prior"] = parts.facts[name]["prior"]
        return found

    return {
        "task": drawing.task,
        "conditions": told(drawing.parts),
        "against": told(drawing.against),
        "recipe": recipe_to_dict(_told(drawing.recipe)),
        "seed": drawing.seed,
        "picture": record.index,
        "of": drawing.n,
        "models": {name: dict(facts) for name, facts in record.models.items()},
        "machine": dict(record.machine),
        **(_manner(drawing) if record.told >= TOLD else {}),
    }


def _manner(drawing: Drawing) -> dict[str, Any]:
    """How it was drawn beside its recipe; pictures and noise as digests."""
    upsampling, tiling = drawing.upsampling, drawing.tiling
    background = None if drawing.background is None else levels((drawing.background + 1) / 2)
    inside = None if drawing.inside is None else levels(drawing.inside)
    luma = None if drawing.luma is None else levels(drawing.luma)
    pixels = {"noise": drawing.noise, "background": background, "mask": inside, "luma": luma}
    return {
        "upsampling": None if upsampling is None else recipe_to_dict(_told(upsampling)),
        "tiling": None if tiling is None else asdict(tiling),
        "size": drawing.size,
        "place": drawing.place,
        "autocast": drawing.autocast,
        **{n: None if v is None else {"sha256": value_digest(v)} for n, v in pixels.items()},
    }


def _packed(record: Record) -> bytes:
    drawing = record.drawing
    tensors: dict[str, Tensor] = {}
    for side, parts in (("parts", drawing.parts), ("against", drawing.against)):
        tensors |= {f"{side}.{name}": value for name, value in parts.items()}
    if drawing.noise is not None:
        tensors["noise"] = drawing.noise
    if drawing.background is not None and drawing.inside is not None:
        tensors["background"] = levels((drawing.background + 1) / 2)
        tensors["inside"] = levels(drawing.inside)
    if drawing.luma is not None:
        tensors["luma"] = levels(drawing.luma)
    header = {
        "format": FORMAT,
        "task": drawing.task,
        "n": drawing.n,
        "seed": drawing.seed,
        "size": drawing.size,
        "place": drawing.place,
        "index": record.index,
        "recipe": recipe_to_dict(drawing.recipe),
        "upsampling": None if drawing.upsampling is None else recipe_to_dict(drawing.upsampling),
        "tiling": None if drawing.tiling is None else asdict(drawing.tiling),
        "notes": {"parts": drawing.parts.notes, "against": drawing.against.notes},
        "facts": {"parts": drawing.parts.facts, "against": drawing.against.facts},
        "models": {name: dict(facts) for name, facts in record.models.items()},
        "machine": dict(record.machine),
    }
    # What records of before do not have is left out of them when they are written again.
    if record.told > 1:
        header["told"] = record.told
    if drawing.autocast:
        header["autocast"] = drawing.autocast
    text = json.dumps(header, sort_keys=True).encode()
    tensors[_HEADER] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    # A part may be on both sides, which safetensors refuses where they share memory.
    apart = {name: tensor.cpu().clone().contiguous() for name, tensor in tensors.items()}
    return zlib.compress(write_tensors(apart), 9)


def _unpacked(chunk: bytes) -> Record:
    unpacking = zlib.decompressobj()
    raw = unpacking.decompress(chunk, _MOST)
    if unpacking.unconsumed_tail:
        raise ValueError(f"more than {_MOST} bytes")
    tensors = read_tensors(raw)
    header = json.loads(tensors.pop(_HEADER).numpy().tobytes())
    if header["format"] != FORMAT:
        raise ValueError(f"format {header['format']}, this version writes {FORMAT}")

    def parts(side: str) -> Parts:
        prefix = f"{side}."
        values = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        order = list(header["notes"][side])
        if set(order) != set(values):
            raise ValueError(f"notes of {order} for values of {sorted(values)}")
        return Parts({n: values[n] for n in order}, header["notes"][side], header["facts"][side])

    background, inside = _levels_of(tensors, "background", 3), _levels_of(tensors, "inside", 1)
    luma, place = _levels_of(tensors, "luma", 1), header["place"]
    upsampling, tiling, size = header["upsampling"], header["tiling"], header["size"]
    autocast, told = str(header.get("autocast", "")), int(header.get("told", 1))
    if autocast and autocast not in AUTOCAST:
        raise ValueError(f"autocast to {autocast}")
    drawing = Drawing(
        parts=parts("parts"),
        against=parts("against"),
        recipe=recipe_from_dict(header["recipe"]),
        upsampling=None if upsampling is None else recipe_from_dict(upsampling),
        tiling=None if tiling is None else Tiling(**tiling),
        n=int(header["n"]),
        seed=int(header["seed"]),
        size=None if size is None else (int(size[0]), int(size[1])),
        noise=tensors.get("noise"),
        background=None if background is None else background.float() / 127.5 - 1,
        inside=None if inside is None else inside.float() / 255,
        place=None if place is None else (int(place[0]), int(place[1]), int(place[2])),
        luma=None if luma is None else luma.float() / 255,
        autocast=autocast,
        task=str(header["task"]),
    )
    models = {str(n): {k: str(v) for k, v in f.items()} for n, f in header["models"].items()}
    index = int(header["index"])
    if not 0 <= index < drawing.n:
        raise ValueError(f"picture {index} of {drawing.n}")
    machine = dict(header["machine"])
    if not 1 <= int(machine["threads"]) <= _MOST_THREADS:
        raise ValueError(f"{machine['threads']} threads")
    if not isinstance(machine["versions"], dict) or not isinstance(machine["device"], str):
        raise ValueError("facts of a machine that are none")
    return Record(drawing=drawing, index=index, models=models, machine=machine, told=told)


def _levels_of(tensors: Mapping[str, Tensor], name: str, channels: int) -> Tensor | None:
    """8-bit levels `(channels, h, w)`, if the record holds any."""
    found = tensors.get(name)
    if found is not None and (found.dtype != torch.uint8 or found.shape[:-2] != (channels,)):
        raise ValueError(f"{name} of {found.dtype} and shape {tuple(found.shape)}")
    return found


def _told(recipe: SamplingRecipe) -> SamplingRecipe:
    """The recipe with digests in place of masks, which nobody reads as text."""
    conditions = {
        name: replace(own, region=_short(own.region)) for name, own in recipe.conditions.items()
    }
    return replace(recipe, conditions=conditions)


def _short(region: str) -> str:
    if not region.startswith("data:"):
        return region
    return f"mask sha256 {hashlib.sha256(region.encode()).hexdigest()}"


def _self_contained(recipe: SamplingRecipe) -> SamplingRecipe:
    """The recipe with masks instead of paths, so that it means the same anywhere."""
    conditions = {
        name: replace(own, region=carried(own.region)) for name, own in recipe.conditions.items()
    }
    return replace(recipe, conditions=conditions)
