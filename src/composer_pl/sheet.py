"""Contact sheets: titled panels in rows, as one picture; used wherever pictures are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

_GAP = 6
_TITLE = 16
_BACKGROUND = (255, 255, 255)
_INK = (30, 30, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One cell of a sheet.

    Attributes:
        title: Short text above the cell.
        content: A picture `(3, h, w)` in [0, 1], or a text that is wrapped into the cell.
    """

    title: str
    content: Tensor | str


def contact_sheet(rows: Sequence[Sequence[Panel]], *, cell: int = 128) -> Image.Image:
    """Draw rows of panels; pictures are enlarged without smoothing to fit `cell` pixels.

    Args:
        rows: The panels; rows may differ in length.
        cell: Side of a cell in pixels.
    """
    columns = max((len(row) for row in rows), default=0)
    width = columns * (cell + _GAP) + _GAP
    height = len(rows) * (cell + _TITLE + _GAP) + _GAP
    sheet = Image.new("RGB", (max(width, 1), max(height, 1)), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            left = _GAP + x * (cell + _GAP)
            top = _GAP + y * (cell + _TITLE + _GAP)
            draw.text((left, top), _fitted(panel.title, font, cell), _INK, font)
            if isinstance(panel.content, str):
                text = "\n".join(wrap(panel.content, max(cell // 7, 8))[: cell // 14])
                draw.multiline_text((left, top + _TITLE), text, _INK, font)
            else:
                picture = to_pil(panel.content)
                factor = cell / max(picture.size)
                size = (
                    max(round(picture.width * factor), 1),
                    max(round(picture.height * factor), 1),
                )
                enlarge = factor >= 1
                picture = picture.resize(
                    size, Image.Resampling.NEAREST if enlarge else Image.Resampling.BOX
                )
                sheet.paste(picture, (left, top + _TITLE))
    return sheet


def to_pil(picture: Tensor) -> Image.Image:
    """A picture `(3, h, w)` in [0, 1] -> 8-bit RGB, rounded to the nearest level."""
    levels = (picture.detach().float().cpu().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()))


def shrink(picture: Tensor, side: int) -> Tensor:
    """Bring a picture `(3, h, w)` to `side` x `side` by an antialiased triangle filter."""
    return F.interpolate(picture[None], size=(side, side), mode="bilinear", antialias=True)[0]


def _fitted(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while title and font.getlength(title) > width:
        title = title[:-1]
    return title
