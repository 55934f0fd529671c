"""COCO's annotation files for scenes: captions, and instances with exact masks."""

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from composer_pl.data.scenes.vocabulary import SHAPES

CATEGORIES = [
    {"id": number + 1, "name": shape, "supercategory": "solid"}
    for number, shape in enumerate(SHAPES)
]
"""COCO's ids count from 1; class k of the project is the id k + 1."""

Row = dict[str, Any]
"""One scene: `image`, `captions`, `instances`; lines of a part file."""


def run_lengths(mask: Bool[Tensor, "h w"]) -> dict[str, list[int]]:
    """Encode a mask as COCO's uncompressed run lengths, which pycocotools reads as they are.

    Runs go down the columns, one after another, and begin with a run of background.
    """
    flat = mask.T.flatten()
    ends = (flat[1:] != flat[:-1]).nonzero().flatten() + 1
    edges = torch.cat([ends.new_zeros(1), ends, ends.new_tensor([flat.numel()])])
    counts = edges.diff().tolist()
    return {"counts": [0, *counts] if bool(flat[0]) else counts, "size": list(mask.shape)}


def decode_run_lengths(encoded: dict[str, list[int]]) -> Bool[Tensor, "h w"]:
    """Undo `run_lengths`."""
    height, width = encoded["size"]
    runs = torch.tensor(encoded["counts"])
    values = torch.arange(len(runs)) % 2 == 1
    return values.repeat_interleave(runs).view(width, height).T


def annotation_files(rows: list[Row], info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Build the contents of `captions_*.json` and `instances_*.json`.

    Args:
        rows: All scenes of a split.
        info: COCO's `info`.
    """
    licenses = [{"id": 1, "name": "CC0 1.0", "url": ""}]
    head = {"info": info, "licenses": licenses, "images": [row["image"] for row in rows]}
    texts, objects = [], []
    for row in rows:
        image_id = row["image"]["id"]
        for text in row["captions"]:
            texts.append({"id": len(texts) + 1, "image_id": image_id, "caption": text})
        for found in row["instances"]:
            objects.append({"id": len(objects) + 1, "image_id": image_id, "iscrowd": 0, **found})
    return {
        "captions": {**head, "annotations": texts},
        "instances": {**head, "annotations": objects, "categories": CATEGORIES},
    }
