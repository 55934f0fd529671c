"""Pictures in a row: as a strip, and as a film."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from composer_pl.composing.video import video_library, write_video
from composer_pl.errors import UserInputError
from composer_pl.files import replacing

FORMATS = {"webp": 16_383, "gif": 65_535, "mp4": 16_384}
"""Format of a film -> most pixels that a side of it may have."""
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


def check_film(
    path: Path, seconds: float, *, picture: tuple[int, int] | None = None, rows: int = 1
) -> str:
    """The format of a film, before work is spent on its frames.

    Args:
        path: The file; its suffix tells the format.
        seconds: How long a frame is shown.
        picture: Width and height of its pictures, where they are known.
        rows: Pictures of a frame.

    Raises:
        UserInputError: The format is another one, no time is left for a frame, or frames would be
            larger than the format holds.
        MissingDependencyError: The format needs a library that is not installed.
    """
    kind, doing = path.suffix.lstrip(".").lower(), f"Writing the film {path.name!r}"
    if kind not in FORMATS or not 0.01 <= seconds <= 60:
        raise UserInputError(
            f"{doing}: expected the format {', '.join(FORMATS)} and 0.01 to 60 seconds a frame, "
            f"found {kind or 'none'} and {seconds:g}. Next: correct it."
        )
    if kind == "mp4":
        video_library(path.name)
    if picture is not None:
        width, height = _frame_size(picture, rows)
        if max(width, height) > FORMATS[kind]:
            raise UserInputError(
                f"{doing}: expected frames of at most {FORMATS[kind]} pixels a side, which is what "
                f"{kind} holds, found {width} x {height}: {rows} pictures side by side. Next: "
                f"make fewer rows (-n), or no film."
            )
    return kind


def write_film(
    path: Path, frames: Sequence[Sequence[Image.Image]], *, seconds: float = 0.2
) -> None:
    """Write a film that goes there and back: lossless WebP, GIF, or MP4 (`video`).

    WebP and GIF begin again without end; whether MP4 does is the player's choice. Small pictures
    are enlarged by a whole factor, without smoothing.

    Args:
        path: The file; its suffix tells the format.
        frames: The pictures of each frame, shown side by side.
        seconds: How long a frame is shown; both ends are held three times as long.

    Raises:
        UserInputError: See `check_film`.
        MissingDependencyError: See `check_film`.
    """
    first = frames[0]
    kind = check_film(path, seconds, picture=first[0].size, rows=len(first))
    size = _frame_size(first[0].size, len(first))
    shown = [
        strip([[picture] for picture in pictures]).resize(size, Image.Resampling.NEAREST)
        for pictures in frames
    ]
    walk = [*shown, *shown[-2:0:-1]]
    held = [3 if i in (0, len(shown) - 1) else 1 for i in range(len(walk))]
    durations = [round(1000 * seconds) * times for times in held]
    with replacing(path) as temporary:
        if kind == "webp":
            walk[0].save(
                temporary, "WEBP", save_all=True, append_images=walk[1:], duration=durations,
                loop=0, lossless=True, method=4,
            )  # fmt: skip
        elif kind == "gif":
            walk[0].save(
                temporary, "GIF", save_all=True, append_images=walk[1:], duration=durations, loop=0
            )
        else:
            # Repeated, as players do not agree on pictures of unequal duration.
            pictures = [one for one, times in zip(walk, held, strict=True) for _ in range(times)]
            write_video(temporary, pictures, seconds=seconds)


def _frame_size(picture: tuple[int, int], rows: int, gap: int = 2) -> tuple[int, int]:
    """Width and height of a frame of so many pictures side by side, enlarged to be seen."""
    width, height = picture
    factor = max(1, -(-_SEEN // min(picture)))
    return factor * (rows * (width + gap) - gap), factor * height
