"""Grey levels of any depth as 8 bits."""

import numpy as np
from PIL import Image

from composer_pl.plugin.levels import white_level

_JPEG = ("JPEG", "MPO")


def spread(image: Image.Image) -> tuple[Image.Image, str]:
    """Bring grey levels to 0..255; other pictures are left.

    32-bit files that exceed 16 bits are scaled by their largest value. Levels that use few bits of
    their file are scaled by those, see `white_level`; not in JPEG, which holds no masks of 0 and 1.

    Returns:
        The picture, and what was taken for granted of its levels; empty where nothing was.
    """
    if image.mode.startswith("I"):
        levels = np.asarray(image)
        white, assumed = white_level(levels, 65535)
        return _grey(levels.astype(np.float64) * (255.0 / white)), assumed
    if image.mode == "F":
        return _grey(_scale_floats(np.asarray(image))), ""
    if image.mode == "L" and "transparency" not in image.info and image.format not in _JPEG:
        white, assumed = white_level(np.asarray(image.getextrema()), 255)
        if assumed:
            return image.point(lambda level: level * (255 // white)), assumed
    return image, ""


def _grey(values: np.ndarray) -> Image.Image:
    """Return a picture of grey values that are already on the scale 0..255."""
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


def _scale_floats(values: np.ndarray) -> np.ndarray:
    """[0, 1] -> 0..255, 0..255 as it is, any other range by its own ends."""
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if low >= 0 and high <= 1:
        return values * 255.0
    if low >= 0 and high <= 255:
        return values
    return (values - low) * (255.0 / (high - low))
