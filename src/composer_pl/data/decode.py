"""From the bytes of a picture file to upright 8-bit RGB, whatever the file's own form.

Files come from anywhere, so only six formats are tried, and size limits are checked before a pixel
is decoded: a bilevel file of ten kilobytes can hold eighty megapixels.
"""

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

from composer_pl.data.levels import spread
from composer_pl.data.profiles import ToSRGB, to_srgb
from composer_pl.errors import TakenForGrantedWarning, UserInputError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
WHITE = (255, 255, 255)  # the background that transparent pixels are composited on

_WITHIN = "a picture within the limits of size"
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BrokenPictureError(UserInputError):
    """A file cannot be used as a picture; `reason` says why in a few words.

    Args:
        name: How messages call the file.
        reason: What was found.
        expected: What a usable file has that this one has not.
    """

    def __init__(self, name: str, reason: str, expected: str = f"a {', '.join(FORMATS)} file"):
        self.name = name
        self.reason = reason
        self.expected = expected
        super().__init__(
            f"Reading the picture {name}: expected {expected}, found {reason}. "
            "Next: replace the file or leave it out."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Data workers send it to the training process."""
        return type(self), (self.name, self.reason, self.expected)


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLimits:
    """What is refused before decoding.

    Attributes:
        max_pixels: Most pixels, width times height.
        max_side: Longest side in pixels.
        min_side: Shortest side in pixels.
        max_aspect: Longest side over shortest side.
        max_bytes: Largest file.
    """

    max_pixels: int = 64_000_000
    max_side: int = 16_384
    min_side: int = 32
    max_aspect: float = 8.0
    max_bytes: int = 512 * 2**20

    def objection(self, width: int, height: int) -> str:
        """Return which rule a picture of this size breaks, or an empty string."""
        long, short = max(width, height), min(width, height)
        size = f"{width} x {height} pixels"
        if width * height > self.max_pixels:
            return f"{size}, above the limit of {self.max_pixels / 1e6:g} megapixels"
        if long > self.max_side:
            return f"{size}, a side above the limit of {self.max_side}"
        if short < self.min_side:
            return f"{size}, a side below the least of {self.min_side}"
        if long > self.max_aspect * short:
            return f"{size}, longer than {self.max_aspect:g} times its short side"
        return ""


DEFAULT_LIMITS = PictureLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: Upright RGB; may hold fewer pixels than the file where the decoder reduced it.
        width: Upright width of the file in pixels. Crop boxes are in these coordinates.
        height: Upright height of the file in pixels.
        managed: Whether the file carries a profile that means something else than sRGB.
        assumed: What was taken for granted of levels that would be near black, see `levels.spread`.
    """

    image: Image.Image
    width: int
    height: int
    managed: bool = False
    assumed: str = ""


def read_picture_bytes(path: str | Path, *, limits: PictureLimits = DEFAULT_LIMITS) -> bytes:
    """Read a whole file after looking at its size.

    Raises:
        BrokenPictureError: When it is absent, unreadable, empty or too large.
    """
    try:
        size = os.path.getsize(path)
        if size > limits.max_bytes:
            raise BrokenPictureError(str(path), f"{size / 2**20:.0f} MiB, above the limit", _WITHIN)
        data = Path(path).read_bytes()
    except OSError as error:
        raise BrokenPictureError(str(path), error.strerror or type(error).__name__) from error
    if not data:
        raise BrokenPictureError(str(path), "an empty file")
    return data


def decode_picture(
    data: bytes,
    name: str,
    *,
    short_side: int | None = None,
    limits: PictureLimits = DEFAULT_LIMITS,
) -> Picture:
    """Decode to upright 8-bit RGB.

    EXIF orientation is applied; transparency is composited on white; 16-bit and floating-point
    values are scaled by their range, not clipped, and by that of fewer bits where no more are used;
    of an animation the first frame is taken. Colours are brought from an embedded ICC profile to
    sRGB, see `composer_pl.data.profiles`.

    Args:
        data: The bytes of the file.
        name: How messages call it.
        short_side: When given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its
            shorter side keeps this many pixels; several times faster on large photos.
        limits: Sizes that are refused.

    Raises:
        BrokenPictureError: When the bytes are not a whole picture of a known format.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's remarks on odd metadata concern nobody here, and our limit comes first.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            objection = limits.objection(*image.size)
            if objection:
                raise BrokenPictureError(name, objection, _WITHIN)
            width, height = image.size
            if short_side is not None and image.format in ("JPEG", "MPO"):
                image.draft(None, (short_side, short_side))
            image.load()
            # After load: a PNG may carry its EXIF block behind the pixels, and Pillow turns
            # TIFF files upright by itself while loading.
            orientation = _orientation(image)
            reduced = image.format in ("JPEG", "MPO")
            transform = to_srgb(image.info.get("icc_profile"))
            image, assumed = spread(image)
            image = _to_rgb(image, transform)
            if orientation in _UPRIGHT:
                image = image.transpose(_UPRIGHT[orientation])
    except BrokenPictureError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BrokenPictureError(name, f"bytes that begin with {data[:12]!r}") from error
    except Image.DecompressionBombError as error:
        reason = f"more than {limits.max_pixels / 1e6:g} megapixels"
        raise BrokenPictureError(name, reason, _WITHIN) from error
    # A damaged file makes the decoders raise almost anything: OSError, SyntaxError, struct.error,
    # zlib.error, IndexError... All of it means the same: not a whole picture.
    except Exception as error:
        reason = f"damaged data ({type(error).__name__}: {error})"
        raise BrokenPictureError(name, reason) from error
    if not reduced:
        width, height = image.size
    elif orientation >= 5:
        width, height = height, width
    managed = transform is not None
    return Picture(image=image, width=width, height=height, managed=managed, assumed=assumed)


def read_picture(path: str | Path, *, limits: PictureLimits = DEFAULT_LIMITS) -> Picture:
    """Read and decode a file; see `decode_picture`.

    Raises:
        BrokenPictureError: When the file is absent or no usable picture.
    """
    return decode_picture(read_picture_bytes(path, limits=limits), str(path), limits=limits)


def opened_picture(image: Image.Image, *, limits: PictureLimits = DEFAULT_LIMITS) -> Picture:
    """A picture that somebody else opened, as `read_picture` would answer its file.

    Raises:
        BrokenPictureError: When its pixels cannot be read or its size is refused.
    """
    name = str(getattr(image, "filename", "") or "given as an object")
    if objection := limits.objection(*image.size):
        raise BrokenPictureError(name, objection, _WITHIN)
    try:
        image.load()
        transform = to_srgb(image.info.get("icc_profile"))
        orientation = _orientation(image)
        even, assumed = spread(image)
        upright = _to_rgb(even, transform)
    except Exception as error:  # as in `decode_picture`: damaged files raise almost anything
        reason = f"damaged data ({type(error).__name__}: {error})"
        raise BrokenPictureError(name, reason) from error
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    return Picture(
        image=upright,
        width=upright.width,
        height=upright.height,
        managed=transform is not None,
        assumed=assumed,
    )


def given_picture(
    source: str | Path | Image.Image, *, limits: PictureLimits = DEFAULT_LIMITS
) -> Picture:
    """A picture that a person gives, as a file or open; what is taken for granted is a warning.

    Raises:
        BrokenPictureError: It is no usable picture.
    """
    opened = isinstance(source, Image.Image)
    picture = (
        opened_picture(source, limits=limits) if opened else read_picture(source, limits=limits)
    )
    if picture.assumed:
        name = getattr(source, "filename", "") if opened else str(source)
        warnings.warn(
            f"Reading the picture {name or 'given as an object'}: expected {picture.assumed}. "
            f"Next: save it over the whole range of its bits, so that nothing is assumed.",
            TakenForGrantedWarning,
            stacklevel=3,
        )
    return picture


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a picture with a broken metadata block is still a picture
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image, transform: ToSRGB | None) -> Image.Image:
    """Convert any mode to RGB: colours to sRGB first, then transparency composited on white."""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # only an in-place conversion returns nothing
        return converted
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        grey = image.mode in ("LA", "La", "L")
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        image = rgba.convert("RGB")
        image = image.convert("L") if grey else image
    elif image.mode not in ("L", "CMYK"):
        image = image.convert("RGB")
    rgb = transform(image) if transform is not None else image.convert("RGB")
    if alpha is None:
        return rgb
    rgb.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", rgb.size, (*WHITE, 255)), rgb).convert("RGB")
