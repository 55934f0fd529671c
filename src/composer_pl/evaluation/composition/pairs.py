"""Pairs of colour and shape, and those that the shipped scene models never saw."""

from composer_pl.data.scenes.vocabulary import COLORS, SHAPES
from composer_pl.evaluation.scenes.truth import PAIRS

# Lines of the Fano plane: any two of the first seven colours lack exactly one shape in common, and
# each shape lacks three of the first seven colours. White takes the mirrored line.
_LINE, _MIRRORED = (0, 1, 3), (0, 4, 6)


def _held_out() -> tuple[str, ...]:
    pairs = []
    for number, color in enumerate(COLORS):
        first = number < len(SHAPES)
        numbers = [(number + step) % len(SHAPES) for step in _LINE] if first else _MIRRORED
        pairs += [f"{color} {SHAPES[shape]}" for shape in sorted(numbers)]
    return tuple(pairs)


HELD_OUT: tuple[str, ...] = _held_out()
"""24 pairs that the shipped scene models, their encoders and upsampler never saw, also as second
colours; see `benchmarks/composition`."""

SEEN: tuple[str, ...] = tuple(pair for pair in PAIRS if pair not in HELD_OUT)
"""The 32 pairs that they saw."""

__all__ = ["HELD_OUT", "PAIRS", "SEEN"]
