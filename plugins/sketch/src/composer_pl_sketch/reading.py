"""Reading a drawn sketch from a file, whatever its polarity and range."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, max_pool2d

from composer_pl.plugin import UserInputError

_LEAST_CONTRAST = 0.1
_GREY = (0.1, 0.6)
"""Ink between these is neither paper nor stroke."""
_MOST_GREY = 0.1
"""A larger share of such pixels is the shade of uneven paper, or a photograph."""
_MOST_INK = 0.35  # a photograph has about half its range as "ink", drawings below a quarter


def read_strokes(source: str | Path, canvas: int) -> Float[Tensor, "1 h w"]:
    """Read a drawing as strokes in [0, 1], 1 is ink, upright, in its own proportions.

    The paper is what most pixels show: dark strokes on light paper and light strokes on a dark
    ground both come out as white on black. Paper that is lighter in one place than in another, as
    when it was photographed, is evened out. Ink is scaled so that the strongest stroke is 1.
    Drawings larger than `canvas` are brought down by maxima, so that thin strokes survive.
    Transparent parts are paper, of whichever of white and black shows the strokes.

    Raises:
        UserInputError: The file is no picture, is empty, or is no drawing.
    """
    expected = (
        f"Reading {str(source)!r} as a sketch: expected a picture of strokes on an even ground "
        f"(black on white or white on black), found"
    )
    try:
        with Image.open(source) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I"):
                levels = np.asarray(picture).astype(np.float64) / 65535
            elif picture.mode == "F":
                levels = np.asarray(picture).astype(np.float64)
                if not 0 <= levels.min() <= levels.max() <= 1:  # also false for nan
                    raise ValueError("floating point levels outside 0 to 1")
            else:
                if picture.has_transparency_data:
                    picture = _on_paper(picture.convert("RGBA"))
                levels = np.asarray(picture.convert("L")).astype(np.float64) / 255
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(f"{expected} {error}. Next: give the path of a picture.") from error

    ink = _ink(levels, np.full_like(levels, np.median(levels)))
    uneven = ink is not None and (_full(ink) or _share(ink, *_GREY) > _MOST_GREY)
    if uneven:
        ink = _ink(levels, _uneven_ground(levels))
    if ink is None:
        raise UserInputError(
            f"{expected} one even grey. Next: draw stronger strokes, or leave the sketch out."
        )
    if _full(ink) or (uneven and _shaded(ink)):
        raise UserInputError(
            f"{expected} a picture full of grey levels, such as a photo. Next: let the sketch be "
            f"extracted from it with --from."
        )
    if uneven:  # its ground is the lightest grain of the paper
        grain = float(np.median(ink))
        ink = (ink - grain) / (1 - grain)
    ink = ink.clip(0, 1)
    strokes = torch.from_numpy(ink).float()[None]
    height, width = levels.shape
    if min(height, width) > canvas:
        scale = canvas / min(height, width)
        strokes = adaptive_max_pool2d(strokes, (round(height * scale), round(width * scale)))
    return strokes


def _on_paper(picture: Image.Image) -> Image.Image:
    """Strokes with transparency over white; over black where they are white themselves."""
    levels = np.asarray(picture.convert("LA")).astype(np.float64) / 255
    opacity = levels[..., 1].sum()
    light = (
        opacity > 0 and (levels[..., 0] * levels[..., 1]).sum() > (1 - _LEAST_CONTRAST) * opacity
    )
    paper = Image.new("RGBA", picture.size, "black" if light else "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def _ink(levels: np.ndarray, ground: np.ndarray) -> np.ndarray | None:
    """How far each level is from the ground towards the strokes, the strongest 1; None if even.

    Levels on the other side of the ground are negative.
    """
    difference = levels - ground
    # The two ends differ by which side of the ground the strokes are on.
    dark, light = -float(difference.min()), float(difference.max())
    reach = max(dark, light)
    if reach < _LEAST_CONTRAST:
        return None
    return (-difference if dark >= light else difference) / reach


def _full(ink: np.ndarray) -> bool:
    """Whether there is more ink, or more of the opposite, than a drawing has."""
    return bool(ink.clip(0, 1).mean() > _MOST_INK or np.abs(ink).mean() > _MOST_INK)


def _shaded(ink: np.ndarray) -> bool:
    """Whether narrow things are many and mostly faint, as texture is and strokes are not."""
    strong = max(_share(ink, _GREY[1], np.inf), 1e-6)
    return _share(ink, 0.15, np.inf) > 0.12 and _share(ink, *_GREY) > 4 * strong


def _share(ink: np.ndarray, low: float, high: float) -> float:
    return float(((ink > low) & (ink < high)).mean())


def _uneven_ground(levels: np.ndarray) -> np.ndarray:
    """The paper's level at each pixel: without whatever is narrower than a tenth of the side."""
    tensor = torch.from_numpy(levels)[None, None]
    reach = max(round(min(levels.shape) / 20), 1)

    def widest(values: Tensor) -> Tensor:  # a square window, an axis at a time
        values = max_pool2d(values, (2 * reach + 1, 1), 1, (reach, 0))
        return max_pool2d(values, (1, 2 * reach + 1), 1, (0, reach))

    closed = -widest(-widest(tensor))  # dark strokes filled
    opened = widest(-widest(-tensor))  # light strokes filled
    # Only one of both takes strokes away; the other finds little that is narrow.
    dark, light = (float((filled - tensor).abs().max()) for filled in (closed, opened))
    return (closed if dark >= light else opened)[0, 0].numpy()
