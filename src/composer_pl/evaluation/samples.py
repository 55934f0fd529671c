"""Pictures to evaluate on: scenes that are rendered as they are needed, or those of a folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from composer_pl.conditions.extraction import Extraction
from composer_pl.data.dataset import CutConfig, PictureDataset, collate
from composer_pl.data.division import choose
from composer_pl.data.records import Record
from composer_pl.data.sampler import VALIDATION_EPOCH, SampleRef
from composer_pl.data.scenes.captions import caption
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.source import RENDERER_VERSION, SceneConfig, SceneSource
from composer_pl.data.sources import SourceConfig, list_source
from composer_pl.errors import MissingDependencyError, MissingWeightsError, UserInputError
from composer_pl.evaluation.scenes.rendered import UNSEEN
from composer_pl.models.base import ComposerModel
from composer_pl.randomness import derive_key
from composer_pl.types import Batch

SCENE_SIDE = 128
"""Least side at which scenes are rendered; shipped models were trained on scenes of this size."""

_CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Pictures, with everything that extractors read.

    Attributes:
        batch: All pictures as one batch, on the CPU.
        facts: Where they come from, as plain data for a manifest.
        notes: Sentences that a reader of the numbers should see.
        scenes: What the pictures show, where they are scenes; their first captions are given.
    """

    batch: Batch
    facts: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.batch["index"])


def scene_samples(
    count: int,
    *,
    resolution: int,
    seed: int = 0,
    rules: SceneRules | None = None,
    first: int = UNSEEN,
) -> Samples:
    """Render scenes of one to three objects that no shipped model was trained on.

    Args:
        count: How many.
        resolution: Side of the model's pictures.
        seed: Of the scenes.
        rules: What they may hold; None takes one to three objects of any kind.
        first: Number of the first scene.
    """
    side = max(SCENE_SIDE, 2 * resolution)
    rules = rules or SceneRules(max_objects=3)
    source = SceneSource(SceneConfig(count=max(count, 1), seed=seed, size=side, rules=rules))
    records = [
        Record(path="", name=f"scenes-{seed}/{i:09d}", maker=source, number=i)
        for i in range(first, first + count)
    ]
    batch = _read(records, CutConfig(canvas=side, resolution=resolution), seed)
    scenes = [source.sampler.scene(record.number) for record in records]
    batch["caption"] = [caption(scene, 0).text for scene in scenes]
    facts: dict[str, Any] = {"pictures": "scenes", "seed": seed, "first": first, "count": count}
    facts["renderer"] = RENDERER_VERSION
    facts["rules"] = asdict(rules)
    return Samples(batch=batch, facts=facts, scenes=scenes)


def folder_samples(
    root: str,
    count: int,
    *,
    resolution: int,
    canvas: int,
    captioned: bool = True,
    split: str = "",
    seed: int = 0,
) -> Samples:
    """Read pictures of a folder, a class folder or a COCO root, chosen by a hash of their names.

    Args:
        root: The folder.
        count: How many.
        resolution: Side of the model's pictures.
        canvas: Side of the canvas that extractors see.
        captioned: Take only pictures with captions, where there are any.
        split: See `SourceConfig`.
        seed: Of captions and of conditions that draw at random.

    Raises:
        UserInputError: The folder cannot be read, or has fewer pictures than asked for.
    """
    listing = list_source(SourceConfig(root=root, split=split))
    notes = list(listing.notes)
    worded = [record for record in listing.records if record.captions]
    records = worded if captioned and worded else list(listing.records)
    if lacking := len(listing.records) - len(records):
        notes.append(f"{lacking} pictures of {root} without a caption are passed over.")
    if len(records) < count:
        raise UserInputError(
            f"Reading pictures from {root}: expected {count}, found {len(records)}"
            f"{' with a caption' if lacking else ''}. Next: ask for at most {len(records)}."
        )
    (chosen,) = choose([records], count)
    batch = _read(chosen, CutConfig(canvas=canvas, resolution=resolution), seed)
    digest = hashlib.sha256(repr(batch["identity"].tolist()).encode()).hexdigest()
    facts = {"pictures": listing.kind, "split": split, "seed": seed, "count": count}
    return Samples(batch=batch, facts=facts | {"digest": digest}, notes=notes)


def extracted(
    extraction: Extraction,
    samples: Samples,
    names: Sequence[str],
    *,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, Tensor], list[str]]:
    """Values of conditions of all samples, on the CPU.

    Args:
        extraction: Holds the extractors.
        samples: The pictures.
        names: Which conditions.
        device: Where extractors run.

    Returns:
        Values by name, and a sentence on each condition that is left out: its weights or library
        are absent, or some picture lacks the text that it is read from.
    """
    available = extraction.available(samples.batch)
    order = list(extraction.plugins)
    values: dict[str, Tensor] = {}
    notes: list[str] = []
    for name in names:
        there = available[order.index(name)]
        if not bool(there.all()):
            lacking = int((~there).sum())
            notes.append(f"{name} is left out: {lacking} of {len(there)} pictures have no caption.")
            continue
        try:
            values[name] = _values(extraction, samples.batch, name, order, device)
        except (MissingWeightsError, MissingDependencyError) as error:
            notes.append(f"{name} is left out: {error}")
    return values, notes


def pixel_values(
    extraction: Extraction,
    pixels: UInt8[Tensor, "b 3 s s"],
    texts: Sequence[str],
    names: Sequence[str],
    *,
    seed: int = 0,
    first: int = 0,
) -> dict[str, Tensor]:
    """Conditions of pictures that are at hand, on their device.

    Args:
        extraction: Holds the extractors.
        pixels: 8-bit sRGB.
        texts: One caption a picture.
        names: Which conditions.
        seed: Of masks and grey weights.
        first: Number of the first picture; what is drawn for one hangs on its number alone.
    """
    count = len(pixels)
    numbers = range(first, first + count)
    keys = torch.tensor([derive_key(seed, "values", i) for i in numbers], dtype=torch.int64)
    source = pixels.float() / 127.5 - 1
    batch = Batch(
        source=source,
        image=source,
        caption=list(texts),
        index=torch.arange(count),
        key=keys,
        identity=keys,
    )
    keep = torch.tensor([name in names for name in extraction.plugins])[:, None]
    found = extraction.extract(batch, keep.expand(-1, count))
    return {name: found[name] for name in names}


def model_extraction(model: ComposerModel) -> Extraction:
    """The extractors of a model, at the size of its own pictures."""
    side = model.config.resolution
    return Extraction(model.plugins, value_size=model.value_size(side, side))


def _values(
    extraction: Extraction,
    batch: Batch,
    name: str,
    order: Sequence[str],
    device: torch.device | str,
) -> Tensor:
    parts = []
    for rows in torch.arange(len(batch["index"])).split(_CHUNK):
        part = Batch(
            source=batch["source"][rows].to(device),
            image=batch["image"][rows],
            caption=[batch["caption"][row] for row in rows.tolist()],
            index=batch["index"][rows],
            key=batch["key"][rows],
            identity=batch["identity"][rows],
        )
        keep = torch.tensor([other == name for other in order])[:, None].expand(-1, len(rows))
        parts.append(extraction.extract(part, keep)[name].cpu())
    return torch.cat(parts)


def _read(records: Sequence[Record], cut: CutConfig, seed: int) -> Batch:
    dataset = PictureDataset(records, range(len(records)), cut=cut, seed=seed)
    refs = [SampleRef(VALIDATION_EPOCH, slot) for slot in range(len(records))]
    chunks = [refs[i : i + _CHUNK] for i in range(0, len(refs), _CHUNK)]
    return collate([sample for chunk in chunks for sample in dataset.__getitems__(chunk)])
