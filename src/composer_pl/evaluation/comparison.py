"""Two files of measurements side by side; numbers made in different ways are never paired."""

from collections.abc import Sequence
from dataclasses import dataclass

from composer_pl.errors import UserInputError
from composer_pl.evaluation.measurement import Measurement, differences


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What of two files can be compared.

    Attributes:
        pairs: Numbers that were made alike, in the order of the first file.
        unlike: For numbers of the first file with none alike in the second: their name, and what
            separates them from the nearest one there.
    """

    pairs: tuple[tuple[Measurement, Measurement], ...]
    unlike: tuple[tuple[str, tuple[str, ...]], ...]


def compare(
    a: Sequence[Measurement], b: Sequence[Measurement], *, allowed: Sequence[str] = ()
) -> Comparison:
    """Pair the numbers of two files; of two made alike in one file the later one counts.

    Args:
        a: One file.
        b: The other.
        allowed: Settings that may differ; see `measurement.differences`.

    Raises:
        UserInputError: The files share no measure, or all that they share was made differently.
    """
    pairs, unlike = [], []
    for one in _latest(a):
        same = [o for o in b if (o.protocol, o.measure) == (one.protocol, one.measure)]
        if not same:
            continue
        said = [(differences(one, other, allowed=allowed), other) for other in reversed(same)]
        fewest, nearest = min(said, key=lambda pair: len(pair[0]))
        if fewest:
            unlike.append((f"{one.protocol}: {one.measure}", tuple(fewest)))
        else:
            pairs.append((one, nearest))
    if not pairs:
        raise UserInputError(_refusal(a, b, unlike))
    return Comparison(pairs=tuple(pairs), unlike=tuple(unlike))


def verdict(a: Measurement, b: Measurement) -> str:
    """What two numbers with intervals say about each other."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return "no interval, so nothing follows from the difference"
    apart = a.high < b.low or b.high < a.low
    return "intervals apart" if apart else "intervals overlap"


def _latest(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Without those that a later one of the same settings and model replaces."""
    kept: list[Measurement] = []
    for one in measurements:
        subject = one.settings.get("model")
        kept = [o for o in kept if o.settings.get("model") != subject or differences(o, one)]
        kept.append(one)
    return kept


def _refusal(
    a: Sequence[Measurement],
    b: Sequence[Measurement],
    unlike: Sequence[tuple[str, tuple[str, ...]]],
) -> str:
    doing = "Comparing measurements"
    if not unlike:
        names = [sorted({f"{m.protocol}: {m.measure}" for m in file}) for file in (a, b)]
        own, other = (", ".join(found[:6]) or "nothing" for found in names)
        return (
            f"{doing}: expected two files with a measure in common, found {own} in the first and "
            f"{other} in the second. Next: measure both in the same way."
        )
    # Measures of one run differ in the same settings: each difference is said once.
    said = list(dict.fromkeys(difference for _, found in unlike for difference in found))
    listed = "\n".join(f"  {difference}" for difference in said[:20])
    more = f"\n  and {len(said) - 20} more" if len(said) > 20 else ""
    return (
        f"{doing}: expected numbers that were made in the same way, found these settings of the "
        f"first against the second:\n{listed}{more}\n"
        f"Next: measure both in the same way, or name what may differ, such as "
        f"--allow {said[0].partition(':')[0]}."
    )
