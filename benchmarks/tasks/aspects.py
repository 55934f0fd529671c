"""Aspects of pictures, each a score in which 1 is best; by the judge, or by pixels alone."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from composer_pl.evaluation.plain import (
    Score,
    correlation,
    lab,
    lab_agreement,
    luma,
    outline_f1,
    set_f1,
    ssim,
)
from composer_pl.evaluation.scenes.judge import Judge, read_pictures
from composer_pl.evaluation.scenes.scores import shape_iou, surroundings_right
from composer_pl.evaluation.scenes.truth import Truth


@dataclass(frozen=True)
class Judged:
    """Scenes whose aspects are wanted.

    Attributes:
        truth: Of the scenes.
        claimed: Pairs that each caption claims.
        region: Where the nearest object is, at 128 px.
    """

    truth: Truth
    claimed: Bool[Tensor, "b 56"]
    region: Bool[Tensor, "b 128 128"]

    def rolled(self, by: int, times: int = 1) -> "Judged":
        """Other scenes in their place; regions stay, as they belong to the edited picture."""
        rows = torch.arange(len(self.truth)).roll(by * times)
        return Judged(self.truth[rows], self.claimed[rows], self.region)


Scorer = Callable[[Judge, Float[Tensor, "b 3 64 64"], Judged], Score]


def _claimed(judge: Judge, pictures: Tensor, wanted: Judged) -> Score:
    found = read_pictures(judge, pictures).pairs > 0
    return (found & wanted.claimed).sum(1) / wanted.claimed.sum(1)  # NaN where none is claimed


def _pairs(judge: Judge, pictures: Tensor, wanted: Judged) -> Score:
    return set_f1(read_pictures(judge, pictures).pairs > 0, wanted.truth.pairs)


def _hues(judge: Judge, pictures: Tensor, wanted: Judged) -> Score:
    """1 minus the mean 1-Wasserstein distance of a and b alone, over 30 units."""
    ours, theirs = (
        lab(images)[:, 1:].flatten(2).sort(2).values for images in (pictures, wanted.truth.image)
    )
    return 1 - (ours - theirs).abs().mean((1, 2)) / 30


def _grey(judge: Judge, pictures: Tensor, wanted: Judged) -> Score:
    return ssim(luma(pictures), luma(wanted.truth.image))


def _region_color(judge: Judge, pictures: Tensor, wanted: Judged) -> Score:
    """Share of the region's pixels whose judged colour is the truth's."""
    inside = _shares(wanted.region) > 0.999
    ours = read_pictures(judge, pictures).colors.argmax(1)
    right = (ours == wanted.truth.colors.argmax(1)) & inside
    return right.sum((1, 2)) / inside.sum((1, 2))


def _outside(judge: Judge, pictures: Tensor, wanted: Judged) -> Score:
    """1 minus the mean absolute error of RGB in [0, 1] outside the region."""
    outside = _shares(wanted.region) < 0.001
    error = ((pictures - wanted.truth.image).abs().mean(1) * outside).sum((1, 2))
    return 1 - error / outside.sum((1, 2)) / 2


def _shares(region: Tensor) -> Float[Tensor, "b 64 64"]:
    return F.avg_pool2d(region[:, None].float(), 2)[:, 0]


ASPECTS: dict[str, Scorer] = {
    "shapes": lambda j, p, w: shape_iou(read_pictures(j, p).shapes, w.truth.shapes),
    "outlines": lambda j, p, w: outline_f1(read_pictures(j, p).outlines > 0, w.truth.outlines),
    "depth": lambda j, p, w: correlation(read_pictures(j, p).depth, w.truth.depth),
    "pairs": _pairs,
    "claimed pairs": _claimed,
    "surroundings": lambda j, p, w: surroundings_right(read_pictures(j, p), w.truth),
    "colours": lambda j, p, w: lab_agreement(p, w.truth.image),
    "hues": _hues,
    "grey levels": _grey,
    "colour in the region": _region_color,
    "outside the region": _outside,
}
"""Name -> score. Judged: shapes (IoU), outlines (F1), depth (correlation), pairs of colour and
shape (F1; of the claimed ones those found), surroundings (floor and sky), colour in the region. By
pixels: colours (Lab distribution), hues (its a and b), grey levels (SSIM), outside the region."""
