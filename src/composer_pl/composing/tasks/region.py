"""Region editing: any task inside a region; outside, every pixel stays as it was.

The model works on a square at its own size. The square lies where the region is, the model is told
what surrounds the region (the condition `masking`, paper section 3), and what it draws goes back
into the picture at the picture's own size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.masks import Region, is_box, known_outside, read_region, softened
from composer_pl.composing.panels import as_tensor
from composer_pl.composing.parts import Parts
from composer_pl.composing.placing import Place
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    MASKING,
    Source,
    TaskSettings,
    drawing_of,
    parts_of,
    picture_of,
)
from composer_pl.data.decode import given_picture
from composer_pl.errors import UserInputError
from composer_pl.sheet import to_pil

TASK = "region"
BORDER = 2
"""Pixels of the drawn picture within which it fades in."""
_MARGIN, _CLOSE = 0.1, 2.0  # of the region's extent on each side; side of a close square


@dataclass(frozen=True, kw_only=True)
class Framed:
    """A picture with a region, and the square of it that is edited.

    Attributes:
        photo: The whole picture, upright RGB.
        inside: 1 where it is edited, at its size.
        place: The square.
    """

    photo: Image.Image
    inside: Float[Tensor, "1 h w"]
    place: Place

    @property
    def square(self) -> Image.Image:
        """What the model sees of the picture; a task takes it as its picture."""
        top, left, side = self.place
        return self.photo.crop((left, top, left + side, top + side))


def framed(
    picture: Source,
    region: Region,
    *,
    closely: bool = False,
    centred: bool = False,
) -> Framed:
    """Choose the square of a picture that holds a region.

    Args:
        picture: A file or an open picture, of any size and mode.
        region: Where to edit, see `masks.read_region`.
        closely: Take a square of twice the region's extent around it, which gives a small region
            more of the model's pixels; else the largest one, as near to the middle as can be.
        centred: Take the largest square in the middle, which is what extraction sees.

    Raises:
        UserInputError: One of both cannot be read, or the region fits into no square.
    """
    source = picture_of(picture, task=TASK, why="stay outside the region")
    photo = given_picture(source).image
    height, width = photo.height, photo.width
    inside = read_region(region, (height, width))
    spans = _spans(inside)
    extent = max(last - first for first, last in spans)
    side = min(height, width)
    if extent > side:
        hole = max(last - first for first, last in _spans(1 - inside))
        turned = not is_box(region) and inside.mean() > 0.5 and hole <= side
        advice = "edit it in parts, or crop the picture around it"
        if turned:
            advice = "if its black part is what to edit, invert the mask; else " + advice
        raise UserInputError(
            f"Editing by region: expected a region that fits into a square of the picture, at most "
            f"{side} pixels high and wide, found {extent}"
            f"{' of a mask that is mostly white, which is where to edit' if turned else ''}. "
            f"Next: {advice}."
        )
    if closely and not centred:
        side = min(side, max(round(_CLOSE * extent), extent + 2, 16))
    starts = []
    for (first, last), whole in zip(spans, (height, width), strict=True):
        start = (whole - side) // 2
        if closely and not centred:
            start = (first + last - side) // 2
        elif not centred:
            margin = round(_MARGIN * (last - first))
            start = min(start, max(first - margin, 0))
            start = max(start, min(last + margin, whole) - side)
            start = max(last - side, min(start, first))  # the margin yields where both do not fit
        elif first < start or last > start + side:
            raise UserInputError(
                f"Editing by region: expected a region in the square in the middle of the picture, "
                f"which is all that the model sees of {width} x {height} pixels, found one beyond "
                f"it. Next: crop the picture to a square around the region."
            )
        starts.append(max(0, min(start, whole - side)))
    return Framed(photo=photo, inside=inside, place=(starts[0], starts[1], side))


def check_square(size: tuple[int, int] | None) -> None:
    """Refuse to draw anything but a square into a region.

    Raises:
        UserInputError: The size is none.
    """
    if size is not None and size[0] != size[1]:
        raise UserInputError(
            f"Editing by region: expected a square to draw, found {size[0]}x{size[1]}. Next: leave "
            f"the size out."
        )


def within(
    composer: Composer,
    drawing: Drawing,
    picture: Source | Framed,
    region: Region | None = None,
    *,
    soft: int | None = None,
) -> Drawing:
    """Confine a drawing to a region of a picture.

    The model is told what surrounds the region, in both sets, so guidance does not exaggerate it; a
    model without `masking` is not told. Pixels outside the region are those of the picture.

    Args:
        composer: The model.
        drawing: Of any task.
        picture: What is edited. Of a plain picture the square in the middle is, as extraction sees
            it; for another square frame the picture first, and give the task its `square`.
        region: Where, unless the picture is framed.
        soft: Pixels of the picture within which the drawing fades in, inside the region; None is
            two of the model's. 0 is a hard border.

    Raises:
        UserInputError: Picture or region cannot be used, or the drawing is no square.
    """
    if not isinstance(picture, Framed):
        if region is None:
            raise UserInputError(
                "Editing by region: expected a region, found none. Next: give a mask or a box."
            )
        picture = framed(picture, region, centred=True)
    check_square(drawing.size)
    height, width = drawing.size or (composer.side, composer.side)
    parts, against = drawing.parts, drawing.against
    if MASKING in composer.names:
        known = _surroundings(composer, picture, (height, width))
        parts, against = parts | known, against | known
    if soft is None:
        soft = round(BORDER * picture.place[2] / (height * composer.factor))
    if not 0 <= soft <= picture.place[2]:
        raise UserInputError(
            f"Editing by region: expected a border that fades in within 0 to {picture.place[2]} "
            f"pixels, the side of the square that is edited, found {soft}. Next: correct it."
        )
    return replace(
        drawing,
        parts=parts,
        against=against,
        background=2 * as_tensor(picture.photo) - 1,
        inside=softened(picture.inside, soft),
        place=picture.place,
    )


def region(
    composer: Composer,
    picture: Source,
    where: Region,
    *,
    keep: Sequence[str] = (),
    parts: Parts | None = None,
    closely: bool = False,
    soft: int | None = None,
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Draw a region of a picture anew (paper section 3, region editing).

    Args:
        composer: The model.
        picture: What is edited.
        where: The region.
        keep: Parts of the picture that hold inside as well, such as its sketch.
        parts: Further parts that the region is to have: a caption, a palette, another's semantics.
        closely: See `framed`.
        soft: See `within`.
        settings: See there.

    Raises:
        TaskNeedsError: The model does not know a part.
        UserInputError: Picture or region cannot be used.
    """
    edited = framed(picture, where, closely=closely)
    own = Parts({})
    if keep:
        own = parts_of(composer, edited.square, keep, task=TASK, seed=settings.seed)
    given = own if parts is None else own | parts
    return within(composer, drawing_of(settings, given, task=TASK), edited, soft=soft)


def _surroundings(composer: Composer, picture: Framed, size: tuple[int, int]) -> Parts:
    """What is known around the region, as the condition reads it: a picture with a hole."""
    top, left, side = picture.place
    height, width = composer.model.value_size(*size)
    square = as_tensor(picture.square.resize((width, height), Image.Resampling.BICUBIC))
    inside = picture.inside[:, top : top + side, left : left + side]
    known = known_outside(inside, (height, width))
    cut_out = to_pil(square)
    cut_out.putalpha(to_pil(known.expand(3, -1, -1)).convert("L"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "around.png"
        cut_out.save(path)
        read = composer.read(MASKING, path)
    return Parts(dict(read), {MASKING: "the picture around the region"}, read.facts)


def _spans(inside: Tensor) -> list[tuple[int, int]]:
    """Rows and columns that a region reaches over."""
    return [_span(inside[0].any(axis)) for axis in (1, 0)]


def _span(filled: Tensor) -> tuple[int, int]:
    """First and one past the last true entry."""
    where = filled.nonzero()[:, 0]
    return int(where[0]), int(where[-1]) + 1
