"""How well an extractor finds the objects of scenes whose truth is known."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int8, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from composer_pl_instances.agreement import soft_iou
from composer_pl_instances.extractor import InstanceExtractor
from composer_pl_instances.painting import paint
from composer_pl_instances.tiny import CANVAS
from composer_pl_instances.truth import targets, truth_values

_CHUNK = 32  # pictures at once


@torch.no_grad()
def measure(
    extractor: InstanceExtractor,
    pixels: UInt8[Tensor, "n 3 side side"],
    ids: UInt8[Tensor, "n side side"],
    attributes: Int8[Tensor, "n slots 6"],
    *,
    size: int = CANVAS,
) -> dict[str, float]:
    """Hold what an extractor finds against the truth.

    An instance is found when a detection of any class covers it with an intersection over union of
    more than a half; no detection can do so for two instances.

    Args:
        extractor: Of the plugin; the scenes are brought to its device.
        pixels: As for `training.train`; scenes that it was not trained on.
        ids: As for `training.train`.
        attributes: As for `training.train`.
        size: The plugin's canvas.

    Returns:
        `scenes`, `instances` and `detections` (counts; objects of which fewer than 12 pixels are
        seen are none); `recall` of instances, `precision` of detections; `mask_iou`, the mean over
        those found; `right_class`, the share of those found whose class is right; and the mean
        over scenes of the two agreements of maps: `map_shape_iou`, `map_category_iou`. A share of
        nothing is nan.
    """
    device = next(extractor.parameters()).device
    count = hits = right = total = found = 0
    covered = 0.0
    agreements = []
    for first in range(0, len(pixels), _CHUNK):
        part = slice(first, first + _CHUNK)
        seen, told = ids[part].to(device), attributes[part].to(device)
        image = pixels[part].to(device).float() / 127.5 - 1
        image = interpolate(image, size=(size, size), mode="bicubic", antialias=True).clamp(-1, 1)
        truth = targets(seen, told)
        large = interpolate(seen[:, None], size=(size, size), mode="nearest-exact")[:, 0]
        detections = extractor.detect(image)
        maps = [paint(one.masks, one.classes, one.scores) for one in detections]
        agreements.append(soft_iou(torch.stack(maps), truth_values(large, told, size)))
        count += len(image)
        for row, one in enumerate(detections):
            numbers = truth.seen[row].nonzero().flatten()
            total += len(numbers)
            found += len(one.scores)
            if not len(numbers) or not len(one.scores):
                continue
            overlap = _overlap(large[row] == (numbers + 1)[:, None, None], one.masks)
            best, which = overlap.max(1)
            hit = best > 0.5
            hits += int(hit.sum())
            covered += float(best[hit].sum())
            right += int((one.classes[which[hit]] == truth.classes[row][numbers[hit]]).sum())
    shape, category = (torch.cat(column) for column in zip(*agreements, strict=True))
    return {
        "scenes": float(count),
        "instances": float(total),
        "detections": float(found),
        "recall": _share(hits, total),
        "precision": _share(hits, found),
        "mask_iou": _share(covered, hits),
        "right_class": _share(right, hits),
        "map_shape_iou": float(shape.mean()),
        "map_category_iou": float(category.mean()),
    }


def _overlap(masks: Bool[Tensor, "n h w"], others: Bool[Tensor, "m h w"]) -> Float[Tensor, "n m"]:
    """Intersection over union of every pair."""
    first, second = masks.flatten(1).float(), others.flatten(1).float()
    both = first @ second.T
    either = first.sum(1)[:, None] + second.sum(1)[None] - both
    return both / either.clamp(min=1)


def _share(part: Any, whole: float) -> float:
    return float(part) / whole if whole else float("nan")
