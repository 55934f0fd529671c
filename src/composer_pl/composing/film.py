"""Pictures in a row: as a strip, and as a film."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.files import replacing

FORMATS = ("webp", "gif")
_SEEN = 256  # pixels that a film's side has at least: a 64 px film is too small to watch


def strip(frames: Sequence[Sequence[Image.Image]], *, gap: int = 2) -> Image.Image:
    """Frames side by side from left to right; pictures of one frame below each other.

    Args:
        frames: The pictures of each frame, all of one size and number.
        gap: White pixels between them.
    """
    width, height = frames[0][0].size
    rows = len(frames[0])
    sheet = Image.new(
        "RGB", (len(frames) * (width + gap) - gap, rows * (height + gap) - gap), "white"
    )
    for column, pictures in enumerate(frames):
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (column * (width + gap), row * (height + gap)))
    return sheet


def check_film(path: Path, seconds: float) -> str:
    """The format of a film, before work is spent on its frames.

    Raises:
        UserInputError: The format is another one, or no time is left for a frame.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS or not 0.01 <= seconds <= 60:
        raise UserInputError(
            f"Writing the film {path.name!r}: expected the format {' or '.join(FORMATS)} and 0.01 "
            f"to 60 seconds a frame, found {kind or 'none'} and {seconds:g}. Next: correct it."
        )
    return kind


def write_film(
    path: Path, frames: Sequence[Sequence[Image.Image]], *, seconds: float = 0.2
) -> None:
    """Write an endless film that goes there and back, as animated WebP (lossless) or GIF.

    Small pictures are enlarged by a whole factor, without smoothing.

    Args:
        path: The file; its suffix tells the format.
        frames: The pictures of each frame, shown side by side.
        seconds: How long a frame is shown; both ends are held three times as long.

    Raises:
        UserInputError: The format is another one, or no time is left for a frame.
    """
    kind = check_film(path, seconds)
    factor = max(1, -(-_SEEN // min(frames[0][0].size)))
    shown = []
    for pictures in frames:
        beside = strip([[picture] for picture in pictures])
        size = (beside.width * factor, beside.height * factor)
        shown.append(beside.resize(size, Image.Resampling.NEAREST))
    walk = [*shown, *shown[-2:0:-1]]
    step = round(1000 * seconds)
    held = {0, len(shown) - 1}
    durations = [3 * step if i in held else step for i in range(len(walk))]
    with replacing(path) as temporary:
        if kind == "webp":
            walk[0].save(
                temporary, "WEBP", save_all=True, append_images=walk[1:], duration=durations,
                loop=0, lossless=True, method=4,
            )  # fmt: skip
        else:
            walk[0].save(
                temporary, "GIF", save_all=True, append_images=walk[1:], duration=durations, loop=0
            )
