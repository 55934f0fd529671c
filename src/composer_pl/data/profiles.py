"""From the colours of an embedded ICC profile to sRGB.

One photo in six of COCO carries another profile than sRGB, mostly Adobe RGB; read as sRGB it comes
out pale, and its palette with it. Printing inks (CMYK) mean little without their profile.
"""

import functools
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

ToSRGB = Callable[[Image.Image], Image.Image]
"""An RGB, grey or CMYK picture -> an RGB picture."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # ICC colour space -> Pillow's mode
_VISIBLE = 2  # levels of 255 by which a profile must differ from sRGB to be applied


def to_srgb(icc: bytes | None) -> ToSRGB | None:
    """Return the conversion from an embedded profile.

    Args:
        icc: The profile's bytes, as they lie in the file.

    Returns:
        A function of pictures, which leaves the colours of a mode that the profile is not for, or
        None where there is nothing to convert: no profile, a broken one, or one that means sRGB.
    """
    return _conversion(icc) if icc else None


@functools.lru_cache(maxsize=16)  # files from one camera share their profile
def _conversion(icc: bytes) -> ToSRGB | None:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space  # pyright: ignore[reportAttributeAccessIssue]
        mode = _MODES.get(space.strip())
        if mode is None:
            return None
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
        )
        if mode != "CMYK" and _means_srgb(transform, mode):
            return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a picture with a broken profile is still a picture

    def convert(image: Image.Image) -> Image.Image:
        if image.mode != mode:
            return image.convert("RGB")
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # only an in-place conversion returns nothing
        return converted

    return convert


def _means_srgb(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether a transform changes no colour visibly, whatever its profile calls itself."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    if mode == "L":
        probe = Image.fromarray(levels[None])
    else:
        cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
        probe = Image.fromarray(cube.reshape(1, -1, 3))
    changed = ImageCms.applyTransform(probe, transform)
    assert changed is not None
    before, after = (np.asarray(image).astype(int) for image in (probe.convert("RGB"), changed))
    return int(np.abs(before - after).max()) <= _VISIBLE
