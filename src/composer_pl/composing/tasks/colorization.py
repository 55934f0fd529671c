"""Palette colourisation: the light and dark of a picture, other colours."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.luma import luma_of
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    Source,
    TaskSettings,
    bidirectional,
    drawing_of,
    parts_of,
    picture_of,
    require,
)
from composer_pl.data.decode import given_picture
from composer_pl.data.transforms import choose_crop, cut
from composer_pl.errors import UserInputError

TASK = "colorization"
MOST = 1024
"""Longest side of a result whose grey levels are kept, in pixels."""

Route = Literal["noise", "inversion"]


def colorization(
    composer: Composer,
    picture: Source,
    palette: str | Source | None,
    *,
    route: Route = "noise",
    keep: Sequence[str] = (),
    keep_luma: bool = False,
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Give a picture the colours of a palette.

    By `noise`, intensity and palette are all that is given. By `inversion`, the picture is walked
    back under its own intensity and palette and drawn under the new palette (paper section 3).

    Args:
        composer: The model.
        picture: Grey or coloured; its own colours count in the inversion alone.
        palette: Hex colours with optional weights such as `#0b3d91:2,#fff`, or a source of which
            the palette is taken; None leaves the colours to chance (by noise only).
        route: See above.
        keep: Further parts of the picture, such as `sketch`.
        keep_luma: Paste the picture's own grey levels: the result has exactly its luma, at the
            picture's own size where that is larger (cut to a square, at most `MOST` pixels).
        settings: See there.

    Raises:
        TaskNeedsError: The model lacks `intensity`, `color` or a kept part.
        UserInputError: A colour or a picture cannot be read, or the inversion has no palette.
    """
    require(composer, TASK, "intensity", *(() if palette is None else ("color",)))
    given = Parts({}) if palette is None else palette_of(composer, palette, seed=settings.seed)
    names = list(dict.fromkeys(["intensity", *keep]))
    if "color" in names:
        raise UserInputError(
            "Editing by colorization: expected further parts to keep beside the new palette, found "
            "'color' among them. Next: leave it out, or use variation to keep the colours."
        )
    if route == "noise":
        kept = parts_of(composer, picture, names, task=TASK, seed=settings.seed)
        drawing = drawing_of(settings, kept | given, task=TASK)
    elif palette is None:
        raise UserInputError(
            "Editing by colorization: the way by inversion changes one palette for another, found "
            "no new one. Next: give a palette, or go by noise."
        )
    else:
        picture = picture_of(picture, task=TASK)
        before = parts_of(composer, picture, [*names, "color"], task=TASK, seed=settings.seed)
        drawing = bidirectional(
            composer, picture, before, before | given, settings=settings, task=TASK
        )
    if not keep_luma:
        return drawing
    return replace(drawing, luma=own_luma(composer, picture, settings))


def palette_of(composer: Composer, palette: str | Source, *, seed: int = 0) -> Parts:
    """A palette by hex colours or of a source.

    Raises:
        UserInputError: It is neither.
    """
    if isinstance(palette, str) and palette.lstrip().startswith("#"):
        return composer.read("color", palette)
    if isinstance(palette, str) and not Path(palette).exists():
        raise UserInputError(
            f"Editing by colorization: expected a palette as hex colours, such as #0b3d91,#fff, or "
            f"a picture that has it, found no file {palette!r}. Next: begin each colour with #, or "
            f"correct the path."
        )
    return parts_of(composer, palette, ["color"], task=TASK, seed=seed)


def own_luma(composer: Composer, picture: Source, settings: TaskSettings) -> Float[Tensor, "1 h w"]:
    """The luma of a picture in [0, 1], at least at the size of the result."""
    source = picture_of(picture, task=TASK, why="give the light and dark")
    factor = composer.factor
    size = [factor * side for side in settings.size or (composer.side, composer.side)]
    loaded = given_picture(source)
    side = min(max(*size, min(loaded.width, loaded.height)), MOST)
    crop = choose_crop(loaded.width, loaded.height, key=0)
    luma = luma_of((cut(loaded, crop, size=side) + 1) / 2)
    if settings.size is None:
        return luma
    return F.interpolate(luma[None], size=tuple(size), mode="bilinear", antialias=True)[0]
