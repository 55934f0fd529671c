"""Palettes written by hand: hex colours with optional weights."""

import math
import re

from composer_pl.plugin import UserInputError

_FORM = "#rgb or #rrggbb with an optional weight, as in '#0b3d91,#f4d35e:0.3,#fff'"
_ENTRY = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})(?::([^:]*))?")


def read_colors(text: str) -> list[tuple[tuple[float, float, float], float]]:
    """Read colours and their weights from a text such as `#0b3d91,#f4d35e:0.3,#fff`.

    Args:
        text: Entries separated by commas. Weights are relative areas; an entry without one has 1.

    Returns:
        One (sRGB in [0, 1], weight) an entry.

    Raises:
        UserInputError: An entry is no colour, or its weight is no number from 1e-6 to 1e6.
    """
    entries = [entry.strip() for entry in text.split(",")]
    return [_read_entry(entry, text) for entry in entries]


def _read_entry(entry: str, text: str) -> tuple[tuple[float, float, float], float]:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise UserInputError(
            f"Reading colours from {text[:200]!r}: expected {_FORM}, found {entry[:50]!r}. "
            f"Next: correct this entry."
        )
    digits, written = match.groups()
    try:
        weight = 1.0 if written is None else float(written)
    except ValueError:
        weight = math.nan
    if not 1e-6 <= weight <= 1e6:  # also false for nan
        raise UserInputError(
            f"Reading colours from {text[:200]!r}: expected a number from 1e-6 to 1e6 as the "
            f"weight of #{digits}, found {written!r}. Next: correct it, or leave the weight out."
        )
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    red, green, blue = (int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4))
    return (red, green, blue), weight
