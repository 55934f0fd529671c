"""Films as H.264 in an MP4 file, which every player and browser shows, by the library PyAV."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

from PIL import Image

from composer_pl.plugin.requirements import require

INSTALL = "'composer-pl[video]'"
_QUALITY = "15"  # constant rate factor: at 18 x264 counts as visually lossless, lower is finer
_BT709 = 1  # the number of BT.709 matrix, primaries and transfer in H.264, table E-3


def video_library(name: str) -> ModuleType:
    """PyAV, imported now.

    Args:
        name: The film's file, for the message.

    Raises:
        MissingDependencyError: It is not installed.
    """
    return require("av", needed_by=f"Writing the film {name!r}", install=INSTALL)


def write_video(path: Path, pictures: Sequence[Image.Image], *, seconds: float) -> None:
    """Write pictures as an MP4 file: H.264, yuv420p, BT.709, all shown for the same time.

    Of an odd side the last row or column is repeated, as yuv420p has even ones.

    Args:
        path: The file.
        pictures: RGB, all of one size.
        seconds: How long a picture is shown.

    Raises:
        MissingDependencyError: PyAV is not installed.
    """
    av = video_library(path.name)
    width, height = (side + side % 2 for side in pictures[0].size)
    shown = Fraction(seconds).limit_denominator(1000)
    # The index in front of the pictures: a browser shows the film before it has all of it.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
        stream = file.add_stream("libx264", rate=1 / shown, options={"crf": _QUALITY})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        coder = stream.codec_context
        # Without these, players guess the colours from the size.
        coder.colorspace = coder.color_primaries = coder.color_trc = _BT709
        coder.color_range = av.video.reformatter.ColorRange.MPEG
        for picture in pictures:
            frame = av.VideoFrame.from_image(_to_size(picture, width, height)).reformat(
                format="yuv420p",
                dst_colorspace=av.video.reformatter.Colorspace.ITU709,
                dst_color_range=av.video.reformatter.ColorRange.MPEG,
            )
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _to_size(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture with its last column or row repeated."""
    if picture.size == (width, height):
        return picture
    larger = Image.new("RGB", (width, height))
    for left, top in ((1, 1), (1, 0), (0, 1), (0, 0)):  # the picture itself comes last
        larger.paste(picture, (left * (width - picture.width), top * (height - picture.height)))
    return larger
