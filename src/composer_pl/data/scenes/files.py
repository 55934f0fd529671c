"""One rendered scene as files: picture, depth, ids and truth, in memory."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.data.scenes.annotations import Row, run_lengths
from composer_pl.data.scenes.render import Rendering
from composer_pl.data.scenes.truth import truth_record

DEPTH_SCALE = 2000
"""Levels of a 16-bit depth file per scene unit; the largest level is the sky."""

_SKY = 65535


def scene_files(
    rendering: Rendering, picture: int, record: dict[str, Any], lines: Float[Tensor, "1 s s"]
) -> dict[str, bytes]:
    """Return file suffix -> content, in WebDataset's sense of a suffix.

    `png` is the picture, `depth.png` 16-bit distance along the camera's axis times `DEPTH_SCALE`
    (near is dark, sky is the largest level), `ids.png` the instance seen at each pixel,
    `outlines.png` white lines on black.

    Args:
        rendering: With this picture.
        picture: Which one.
        record: Its truth, from `scene_record`.
        lines: Its own of `truth.outlines`.
    """
    pixels = rendering.pixels[picture].permute(1, 2, 0).contiguous().cpu().numpy()
    depth = (rendering.depth[picture].double() * DEPTH_SCALE).round().clamp(max=_SKY)
    levels = depth.cpu().numpy().astype(np.uint16)
    return {
        "png": _png(Image.fromarray(pixels)),
        "depth.png": _png(Image.fromarray(levels)),
        "ids.png": _png(Image.fromarray(rendering.ids[picture].cpu().numpy())),
        "outlines.png": _png(Image.fromarray((lines[0] * 255).byte().cpu().numpy())),
        "txt": "\n".join(record["captions"]).encode(),
        "json": json.dumps(record).encode(),
    }


def scene_record(rendering: Rendering, picture: int) -> dict[str, Any]:
    """The truth of one picture; see `truth.truth_record`."""
    return truth_record(rendering, picture)


def annotation_row(rendering: Rendering, picture: int, record: dict[str, Any], name: str) -> Row:
    """One scene as `annotations.annotation_files` takes it."""
    size = rendering.pixels.shape[-1]
    objects = rendering.scenes[picture].objects
    masks = rendering.seen_masks(picture).cpu()
    found = []
    for order, instance in enumerate(record["instances"]):
        thing = objects[instance["id"] - 1]
        found.append(
            {
                "category_id": instance["category"] + 1,
                "segmentation": run_lengths(masks[instance["id"] - 1]),
                "bbox": [float(v) for v in instance["box"]],
                "area": float(instance["area"]),
                "order": order,  # the nearest is 0 and lies on top
                "visible": instance["visible"],
                "attributes": {
                    "size": thing.size,
                    "material": thing.material,
                    "color": thing.color,
                    "pattern": thing.pattern,
                    "second_color": thing.second_color,
                },
            }
        )
    image = {"id": record["index"], "file_name": name, "width": size, "height": size, "license": 1}
    return {"image": image, "captions": record["captions"], "instances": found}


def write_shard(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write a tar whose members are `KEY.SUFFIX`, the members of one sample side by side.

    The bytes depend on the samples alone: no time or owner is written.
    """
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples.items():
            for suffix, content in members.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
