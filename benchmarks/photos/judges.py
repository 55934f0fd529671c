"""Judges that are not the condition: each scores a picture against the true photo its own way.

None of them is an extractor that the model was conditioned on. 1 is best.
"""

from collections.abc import Callable

import numpy as np
from skimage.color import rgb2lab
from skimage.feature import canny
from skimage.filters import sobel
from skimage.metrics import structural_similarity
from skimage.morphology import dilation, disk

Picture = np.ndarray
"""`(h, w, 3)` in [0, 1]."""


def _luma(picture: Picture) -> np.ndarray:
    return picture @ np.array([0.2126, 0.7152, 0.0722])


def edges(picture: Picture, truth: Picture, _value: np.ndarray) -> float:
    """F1 of Canny edges with one pixel of tolerance (the sketch condition is PiDiNet's)."""
    found, wanted = (canny(_luma(p), sigma=1.0) for p in (picture, truth))
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    precision = (found & dilation(wanted, disk(1))).sum() / found.sum()
    recall = (wanted & dilation(found, disk(1))).sum() / wanted.sum()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def colours(picture: Picture, truth: Picture, _value: np.ndarray) -> float:
    """1 minus the mean 1-Wasserstein distance of the L, a and b distributions, over 30 units."""
    ours, theirs = (np.sort(rgb2lab(p).reshape(-1, 3), axis=0) for p in (picture, truth))
    return float(1 - np.abs(ours - theirs).mean() / 30)


def structure(picture: Picture, truth: Picture, _value: np.ndarray) -> float:
    """SSIM of Rec.709 luma."""
    return float(structural_similarity(_luma(picture), _luma(truth), data_range=1.0))


def known_pixels(picture: Picture, truth: Picture, value: np.ndarray) -> float:
    """1 minus the mean absolute error of RGB where the mask says known."""
    factor = value.shape[-1] // truth.shape[1]
    known = value[3, factor // 2 :: factor, factor // 2 :: factor] > 0.5
    if not known.any():
        return float("nan")
    return float(1 - np.abs(picture - truth)[known].mean())


def outlines(picture: Picture, truth: Picture, value: np.ndarray) -> float:
    """Chance that a pixel on an instance's outline has a steeper edge than one elsewhere (AUC)."""
    factor = value.shape[-1] // truth.shape[1]
    shape = value[0, factor // 2 :: factor, factor // 2 :: factor] > 0.5
    outline = dilation(shape, disk(1)) & dilation(~shape, disk(1))
    if outline.sum() < 8 or (~outline).sum() < 8:
        return float("nan")  # no instance was found in the photo
    steepness = sobel(_luma(picture))
    ranks = steepness.ravel().argsort().argsort().astype(float)
    on = outline.ravel()
    return float((ranks[on].mean() - (on.sum() - 1) / 2) / (~on).sum())


JUDGES: dict[str, tuple[str, Callable[[Picture, Picture, np.ndarray], float]]] = {
    "sketch": ("Canny edge F1", edges),
    "color": ("Lab distributions", colours),
    "instances": ("edge on outline, AUC", outlines),
    "intensity": ("luma SSIM", structure),
    "masking": ("known pixels", known_pixels),
}
