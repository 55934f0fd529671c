"""A drawn picture put into another one: its own pixels inside a region, the other's outside."""

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from composer_pl.composing.panels import as_tensor
from composer_pl.errors import UserInputError
from composer_pl.sheet import to_pil

Place = tuple[int, int, int]
"""Top, left and side of a square in the pixels of a picture."""


def composited(
    picture: Image.Image,
    background: Float[Tensor, "3 hh ww"] | None,
    inside: Float[Tensor, "1 hh ww"] | None,
    place: Place | None = None,
) -> Image.Image:
    """The picture inside, the background outside, whose pixels come back exactly.

    Args:
        picture: What was drawn.
        background: In [-1, 1].
        inside: 1 where the picture shows, 0 where the background does, between on the border.
        place: The square of the background that the picture fills, brought to its side; None is all
            of it, and the sizes must agree.

    Raises:
        UserInputError: Something is missing, or sizes do not fit.
    """
    if background is None or inside is None:
        raise _misfit("a background and a region together, found one of them")
    height, width = background.shape[1:]
    if place is None:
        if (picture.height, picture.width) != (height, width):
            raise _misfit(
                f"a background of {picture.height}x{picture.width} pixels, as the picture is, "
                f"found {height}x{width}"
            )
        place = (0, 0, height) if height == width else None
    if inside.shape[1:] != background.shape[1:]:
        raise _misfit(
            f"a region of {height}x{width} pixels, as the background is, found "
            f"{inside.shape[1]}x{inside.shape[2]}"
        )
    behind = levels((background + 1) / 2).float() / 255
    share = levels(inside).float() / 255
    drawn = behind.clone()
    if place is None:
        drawn = as_tensor(picture)
    else:
        top, left, side = place
        if min(top, left) < 0 or side < 1 or top + side > height or left + side > width:
            raise _misfit(f"a square inside {height}x{width} pixels, found {place}")
        if picture.size != (side, side):
            picture = picture.resize((side, side), Image.Resampling.BICUBIC)
        drawn[:, top : top + side, left : left + side] = as_tensor(picture)
    return to_pil(torch.lerp(behind, drawn, share))


def levels(values: Tensor) -> UInt8[Tensor, "..."]:
    """Numbers in [0, 1] as 8-bit levels, which is how a drawing is recorded."""
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)


def _misfit(problem: str) -> UserInputError:
    return UserInputError(
        f"Putting a picture into its background: expected {problem}. Next: bring all to the size "
        f"of the result, which the upsampler sets."
    )
