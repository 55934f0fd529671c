"""True pictures with everything that pictures are held against."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from composer_pl.conditions.extraction import Extraction
from composer_pl.data.dataset import CutConfig, PictureDataset, collate
from composer_pl.data.division import choose
from composer_pl.data.sampler import VALIDATION_EPOCH, SampleRef
from composer_pl.data.scenes.captions import caption
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.source import RENDERER_VERSION
from composer_pl.data.sources import SourceConfig, list_source
from composer_pl.errors import ComposerPLError, UserInputError
from composer_pl.evaluation.control.others import Other
from composer_pl.evaluation.control.pictures import SceneTruth, Wanted, to_bytes
from composer_pl.evaluation.samples import Samples, extracted, scene_samples
from composer_pl.evaluation.scenes.rendered import render_scenes
from composer_pl.evaluation.scenes.truth import Truth, claimed_pairs, whole_truth

_TEXTS = 5  # captions that a scene has, as data and as a COCO root
_BATCH = 32
_BLOCK = 256  # training pictures read at once


def wanted_of(
    samples: Samples,
    extraction: Extraction,
    names: Sequence[str],
    *,
    others: Sequence[Other] = (),
    scenes: Sequence[Scene] | None = None,
    device: torch.device,
) -> tuple[Wanted, list[str]]:
    """Extract the conditions of true pictures and gather what is known of them.

    Args:
        samples: The pictures.
        extraction: The model's extractors.
        names: Conditions to extract.
        others: Further judges, which extract from the same pictures.
        scenes: What they show, where they are rendered scenes.
        device: Where to work.

    Returns:
        All of it on `device`, and a sentence on each condition that is left out.
    """
    values, notes = extracted(extraction, samples, names, device=device)
    judged = {}
    for other in others:
        if other.condition in values:
            found, lacking = extracted(other.extraction, samples, [other.condition], device=device)
            if other.condition in found:
                judged[other.key] = found[other.condition]
            notes += lacking
    scene = None if scenes is None else scene_truth(scenes, samples.batch["caption"])
    wanted = Wanted(batch=samples.batch, values=values, judged=judged, scene=scene)
    return wanted.to(device), notes


def scene_truth(scenes: Sequence[Scene], texts: Sequence[str]) -> SceneTruth:
    """Render the truth of scenes, and find out what their captions claim.

    Args:
        scenes: The scenes.
        texts: The caption of each; one that is none of the scene's own claims nothing.
    """
    parts = [
        whole_truth(render_scenes(scenes[i : i + _BATCH])) for i in range(0, len(scenes), _BATCH)
    ]
    claimed = []
    for scene, text in zip(scenes, texts, strict=True):
        own = [n for n in range(_TEXTS) if caption(scene, n).text == text]
        claims = claimed_pairs([scene], number=own[0] if own else 0)
        claimed.append(claims if own else torch.zeros_like(claims))
    return SceneTruth(truth=Truth.joined(parts), claimed=torch.cat(claimed))


def root_scenes(
    root: str, samples: Samples, *, split: str = "", captioned: bool = True
) -> list[Scene] | None:
    """The scenes of pictures in a root of `composer-pl scenes`; None of any other folder.

    Args:
        root: As of `folder_samples`.
        samples: What that answered.
        split: As it was given.
        captioned: As it was given.

    Raises:
        UserInputError: The root's scenes were drawn by another version of the renderer.
    """
    described = Path(root).expanduser() / "scenes.json"
    if not described.is_file():
        return None
    try:
        settings = json.loads(described.read_bytes())["settings"]
        version = settings["renderer"]
        sampler = SceneSampler(settings["seed"], SceneRules(**settings["rules"]))
    except (OSError, ValueError, KeyError, TypeError, ComposerPLError) as error:
        raise UserInputError(
            f"Reading the scenes of {root}: expected scenes.json as `composer-pl scenes` writes "
            f"it, found {type(error).__name__}: {error}. Next: write the scenes again, or remove "
            f"that file to take them as photos."
        ) from error
    if version != RENDERER_VERSION:
        raise UserInputError(
            f"Reading the scenes of {root}: expected those of this renderer (version "
            f"{RENDERER_VERSION}), found version {version}. Next: write them again with "
            f"`composer-pl scenes`."
        )
    records = list_source(SourceConfig(root=root, split=split)).records
    worded = [record for record in records if record.captions]
    (chosen,) = choose([worded if captioned and worded else records], len(samples))
    numbers = [int(Path(chosen[slot].name).stem) for slot in samples.batch["index"].tolist()]
    return [sampler.scene(number) for number in numbers]


def training_pictures(
    root: str | None, scenes: int | None, *, resolution: int
) -> UInt8[Tensor, "n 3 _h _w"]:
    """Training pictures to look for copies among, at the model's side.

    Args:
        root: A folder, of which all pictures are taken; None renders scenes.
        scenes: How many, from the first one of the seed 0 on; they are of the default rules of
            evaluation.
        resolution: Side of the model's pictures.

    Raises:
        UserInputError: There are none, or the folder cannot be read.
    """
    if root:
        cut = CutConfig(canvas=resolution, resolution=resolution)
        records = list_source(SourceConfig(root=root)).records
        dataset = PictureDataset(records, range(len(records)), cut=cut, seed=0)
        blocks = _blocks(len(records))
        images = (
            collate(dataset.__getitems__([SampleRef(VALIDATION_EPOCH, slot) for slot in block]))
            for block in blocks
        )
    elif scenes and scenes > 0:
        images = (
            scene_samples(len(block), resolution=resolution, first=block.start).batch
            for block in _blocks(scenes)
        )
    else:
        raise UserInputError(
            f"Looking for copies: expected at least one training picture, found {scenes}. "
            f"Next: ask for more."
        )
    # Block by block: of 18,000 scenes the canvases alone are 3.5 GB.
    return torch.cat([to_bytes(batch["image"]) for batch in images])


def _blocks(count: int) -> list[range]:
    return [range(first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK)]
