"""Scores of pictures against scenes, for each condition, by the judge or by plain measures.

All take batches and answer one number a picture, 1 is best; NaN where nothing is to be measured.
None of them uses a network that the model was conditioned with.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from composer_pl.evaluation.plain import (
    Score,
    correlation,
    known_pixels,
    lab_agreement,
    luma,
    outline_f1,
    set_f1,
    ssim,
)
from composer_pl.evaluation.scenes.judge import Reading
from composer_pl.evaluation.scenes.truth import Truth

SCORERS: dict[str, tuple[str, ...]] = {
    "caption": ("claimed pairs found", "claimed pairs, F1"),
    "semantics": ("pairs, F1", "floor and sky"),
    "depth": ("judged depth, correlation",),
    "instances": ("judged shapes, IoU",),
    "sketch": ("judged outlines, F1",),
    "color": ("Lab distribution",),
    "intensity": ("luma, SSIM", "luma, correlation"),
    "masking": ("known pixels",),
}
"""Condition -> its scores; the first is the one that counts."""


def scores(
    name: str,
    pictures: Float[Tensor, "b 3 64 64"],
    reading: Reading,
    truth: Truth,
    *,
    claimed: Bool[Tensor, "b 56"],
    known: Bool[Tensor, "b 64 64"] | None = None,
) -> list[Score]:
    """Score pictures as `SCORERS[name]` says.

    Args:
        name: The condition.
        pictures: In [-1, 1].
        reading: The judge's, of these pictures.
        truth: Of the scenes that they should show.
        claimed: Pairs that each caption claims.
        known: Pixels that each mask leaves; for masking.
    """
    match name:
        case "caption":
            found = reading.pairs > 0
            recall = (found & claimed).sum(1) / claimed.sum(1)  # NaN where nothing is claimed
            return [recall, set_f1(found, claimed)]
        case "semantics":
            return [set_f1(reading.pairs > 0, truth.pairs), surroundings_right(reading, truth)]
        case "depth":
            return [correlation(reading.depth, truth.depth)]
        case "instances":
            return [shape_iou(reading.shapes, truth.shapes)]
        case "sketch":
            return [outline_f1(reading.outlines > 0, truth.outlines)]
        case "color":
            return [lab_agreement(pictures, truth.image)]
        case "intensity":
            ours, theirs = luma(pictures), luma(truth.image)
            return [ssim(ours, theirs), correlation(ours, theirs)]
        case "masking":
            assert known is not None
            return [known_pixels(pictures, truth.image, known)]
    raise AssertionError(f"no score for {name}")


def surroundings_right(reading: Reading, truth: Truth) -> Score:
    """Share of floor and sky that are right; the floor alone where no sky is to be seen."""
    floor = (reading.floor.argmax(1) == truth.floor).float()
    sky = (reading.sky.argmax(1) == truth.sky).float()
    return torch.where(truth.sky >= 0, (floor + sky) / 2, floor)


def shape_iou(logits: Tensor, shares: Tensor) -> Score:
    """Intersection over union of shapes, averaged over those that either map shows."""
    ours, theirs = (
        F.one_hot(x.argmax(1), x.shape[1])[..., :-1].bool().flatten(1, 2) for x in (logits, shares)
    )
    union = (ours | theirs).sum(1)
    iou = (ours & theirs).sum(1) / union.clamp(min=1)
    return iou.sum(1) / (union > 0).sum(1)
