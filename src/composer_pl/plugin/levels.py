"""Which level of a grey picture is white, where the bits of its file do not tell."""

import numpy as np

_NARROWER = (1, 255, 4095)  # masks of 0 and 1; 8 bits in a file of 16; a sensor's 12 bits


def white_level(levels: np.ndarray, full: int) -> tuple[int, str]:
    """The level that is white in a grey picture of whole numbers.

    Read by the bits of its file, a picture that uses few of them would come out near black.

    Args:
        levels: The picture; one that is 0 everywhere is black.
        full: The largest level of its file, 255 or 65535.

    Returns:
        The level, and where it is not `full`, what was expected, found and taken for granted, for a
        warning; else nothing.
    """
    highest = int(levels.max(initial=0))
    white = next((level for level in _NARROWER if highest <= level < full), max(full, highest))
    if not highest or white >= full:
        return max(full, highest), ""
    bits = full.bit_length()
    return white, f"{bits}-bit levels up to {full}, found none above {highest}, taken as 0..{white}"
