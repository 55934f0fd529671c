"""Scenes as a COCO root on disk, written so that a half-finished one never looks whole.

Everything goes to `DIR.unfinished`, in blocks whose last file says that the block is complete; the
folder gets its name when the last annotation file is written. The same call goes on after the last
complete block.

    DIR/scenes.json                          settings, and what the numbers mean
    DIR/train/000000000000.png               the picture
    DIR/annotations/captions_train.json      five captions a picture
    DIR/annotations/instances_train.json     categories are the shapes
    DIR/depth/train/000000000000.png         16 bits, distance along the camera's axis
    DIR/ids/train/000000000000.png           instance seen at each pixel, 0 none
    DIR/outlines/train/000000000000.png      8 bits, white where an object or one of its edges ends
    DIR/truth/train.jsonl                    scenes with objects, camera, light, captions, boxes
    DIR/shards/train-000000.tar              with shards: all of the above per scene
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from composer_pl.data.scenes.annotations import annotation_files
from composer_pl.data.scenes.files import (
    DEPTH_SCALE,
    annotation_row,
    scene_files,
    scene_record,
    write_shard,
)
from composer_pl.data.scenes.render import check_rendering, render
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.source import RENDERER_VERSION
from composer_pl.data.scenes.truth import outlines
from composer_pl.errors import UserInputError

MAPS = ("depth", "ids", "outlines")
"""Folders beside the pictures, and suffixes in shards: `depth/train/NAME.png`, `depth.png`."""

_BATCH_PIXELS = 1 << 19  # pixels rendered together: 128 scenes of 64 x 64, one of 724 x 724


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What a root of scenes holds.

    Attributes:
        train: Scenes of the split `train`, numbered from `first`.
        val: Scenes of the split `val`, numbered after them.
        first: Number of the first scene.
        seed: Seed of the sampler.
        size: Side of the pictures in pixels.
        samples: Samples of a pixel near an object.
        shards: Whether tar files are written too.
        block: Scenes of a shard, and of a step that is not lost when the writing is interrupted.
        rules: What scenes may hold.
    """

    train: int
    val: int = 0
    first: int = 0
    seed: int = 0
    size: int = 256
    samples: int = 5
    shards: bool = False
    block: int = 500
    rules: SceneRules = field(default_factory=SceneRules)

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        for name, least in (("train", 1), ("val", 0), ("first", 0), ("block", 1)):
            if getattr(self, name) < least:
                raise UserInputError(
                    f"Writing scenes: expected {name} to be at least {least}, found "
                    f"{getattr(self, name)}. Next: correct it."
                )
        check_rendering(self.size, self.samples)

    def splits(self) -> dict[str, range]:
        """Split -> numbers of its scenes."""
        middle = self.first + self.train
        splits = {"train": range(self.first, middle)}
        return {**splits, "val": range(middle, middle + self.val)} if self.val else splits

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, the renderer's version and the kinds of maps included."""
        facts = {**asdict(self), "renderer": RENDERER_VERSION, "maps": MAPS}
        return json.loads(json.dumps(facts))


def export_scenes(
    root: Path,
    settings: ExportSettings,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> bool:
    """Write a root of scenes, or go on with one that was interrupted.

    Args:
        root: Folder to write; must not exist, be empty, or hold these very scenes.
        settings: What to write.
        device: Where to render; the files do not depend on it.
        progress: Called with the number of finished scenes and of all.

    Returns:
        False when the root was whole already, True when it was written.

    Raises:
        ConfigError: The rules contradict each other; nothing is begun then.
        UserInputError: The folder holds something else, or cannot be written.
    """
    try:
        return _export(root, settings, device, progress)
    except OSError as error:
        raise UserInputError(
            f"Writing scenes to {root}: expected a folder with enough space that may be written, "
            f"found {error.strerror or type(error).__name__}. Next: mend that and give the same "
            "command again; it goes on where it was."
        ) from error


def _export(
    root: Path,
    settings: ExportSettings,
    device: str | torch.device,
    progress: Callable[[int, int], None],
) -> bool:
    sampler = SceneSampler(settings.seed, settings.rules)  # refuses rules before a folder is made
    root = root.absolute()  # `.` has no name to put `.unfinished` behind
    if _is_whole(root, settings):
        return False
    work = root.with_name(f"{root.name}.unfinished")
    _begin(work, settings)
    total, done = settings.train + settings.val, 0
    progress(0, total)
    for split, numbers in settings.splits().items():
        for block in range(0, len(numbers), settings.block):
            wanted = numbers[block : block + settings.block]
            part = work / "parts" / f"{split}-{block // settings.block:06d}.jsonl"
            if not part.is_file():
                _write_block(
                    work, part, split, wanted, sampler, settings, device,
                    lambda n, before=done: progress(before + n, total),
                )  # fmt: skip
            done += len(wanted)
            progress(done, total)
        _join(work, split, settings)
    shutil.rmtree(work / "parts")
    if root.is_dir():
        root.rmdir()  # it is empty
    work.rename(root)
    return True


def _write_block(
    work: Path,
    part: Path,
    split: str,
    numbers: range,
    sampler: SceneSampler,
    settings: ExportSettings,
    device: str | torch.device,
    progress: Callable[[int], None],
) -> None:
    """Write the pictures of a block, then the part file that declares them complete."""
    lines: list[str] = []
    samples: dict[str, dict[str, bytes]] = {}
    for batch in _batches(numbers, max(1, _BATCH_PIXELS // settings.size**2)):
        scenes = [sampler.scene(number) for number in batch]
        rendering = render(scenes, settings.size, samples=settings.samples, device=device)
        lined = outlines(rendering)
        for position, number in enumerate(batch):
            key = f"{number:012d}"
            record = scene_record(rendering, position)
            files = scene_files(rendering, position, record, lined[position])
            (work / split / f"{key}.png").write_bytes(files["png"])
            for kind in MAPS:
                (work / kind / split / f"{key}.png").write_bytes(files[f"{kind}.png"])
            row = annotation_row(rendering, position, record, f"{key}.png")
            lines.append(json.dumps({"row": row, "truth": record}))
            if settings.shards:
                samples[key] = files
        progress(len(lines))
    if settings.shards:
        write_shard(work / "shards" / f"{part.stem}.tar", samples)
    _replace(part, "".join(f"{line}\n" for line in lines))


def _join(work: Path, split: str, settings: ExportSettings) -> None:
    """Bring the part files of a split together in its annotations and its truth."""
    rows = []
    with (work / "truth" / f"{split}.jsonl").open("w", encoding="utf-8") as truth:
        for part in sorted((work / "parts").glob(f"{split}-*.jsonl")):
            for line in part.read_text(encoding="utf-8").splitlines():
                content = json.loads(line)
                rows.append(content["row"])
                truth.write(json.dumps(content["truth"]) + "\n")
    info = {"description": f"composer-pl scenes, seed {settings.seed}", "version": "1"}
    for kind, content in annotation_files(rows, info).items():
        _replace(work / "annotations" / f"{kind}_{split}.json", json.dumps(content))


def _is_whole(root: Path, settings: ExportSettings) -> bool:
    """Tell whether the root holds these very scenes already; refuse what is someone else's."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    if _settings_of(root) == settings.to_dict():
        return True
    found = "other scenes" if _settings_of(root) else "something else"
    raise UserInputError(
        f"Writing scenes to {root}: expected a new or empty folder, found {found} there. "
        "Next: choose another folder."
    )


def _begin(work: Path, settings: ExportSettings) -> None:
    """Make the folders of an unfinished root, or find that they are of the same settings."""
    if work.exists() and _settings_of(work) != settings.to_dict():
        raise UserInputError(
            f"Writing scenes: expected {work} to be an interrupted writing of the same scenes, "
            "found other settings in it. Next: remove that folder, or choose another --out."
        )
    for split in settings.splits():
        for folder in (split, *(f"{kind}/{split}" for kind in MAPS)):
            (work / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("annotations", "truth", "parts", *(["shards"] if settings.shards else [])):
        (work / folder).mkdir(exist_ok=True)
    _replace(
        work / "scenes.json",
        json.dumps(
            {
                "settings": settings.to_dict(),
                "depth": f"16-bit levels / {DEPTH_SCALE} = distance along the camera's axis in "
                "scene units; 65535 is the sky. As a depth map for composer-pl: ?near=black",
                "ids": "object i of the truth, the nearest first, has the id i + 1; 0 is none",
                "outlines": "255 where another object or the ground begins, an edge of an object "
                "runs or its surface steps back, one pixel wide; else 0. A sketch for composer-pl",
            },
            indent=1,
        ),
    )


def _settings_of(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "scenes.json").read_bytes())["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _replace(path: Path, text: str) -> None:
    """Write a file that is either absent or whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _batches(numbers: range, size: int) -> Iterator[range]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]
