"""Two files of measurements side by side; numbers made in different ways are never paired."""

from collections.abc import Sequence
from dataclasses import dataclass

from composer_pl.errors import UserInputError, nearest
from composer_pl.evaluation.measurement import Measurement, comparable, differences, shown_setting


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What of two files can be compared.

    Attributes:
        pairs: Numbers that were made alike, in the order of the first file.
        unlike: For numbers of the first file with none alike in the second: their label, and what
            separates them from the nearest one there.
        only: Measures that the first file alone holds, and those of the second alone.
    """

    pairs: tuple[tuple[Measurement, Measurement], ...]
    unlike: tuple[tuple[str, tuple[str, ...]], ...]
    only: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def compare(
    a: Sequence[Measurement], b: Sequence[Measurement], *, allowed: Sequence[str] = ()
) -> Comparison:
    """Pair the numbers of two files; of two made alike in one file the later one counts.

    Args:
        a: One file.
        b: The other.
        allowed: Settings that may differ; see `measurement.differences`. Of several partners the
            one that differs in the fewest settings is taken.

    Raises:
        UserInputError: The files share no measure, or all that they share was made differently, or
            neither has a setting that may differ.
    """
    _check_allowed(allowed, [*a, *b])
    pairs, unlike = [], []
    latest = _latest(a)
    for one, label in zip(latest, labels(latest), strict=True):
        same = [o for o in b if _measure(o) == _measure(one)]
        if not same:
            continue
        said = [
            (differences(one, other, allowed=allowed), len(differences(one, other)), other)
            for other in reversed(same)
        ]
        fewest, _, nearest = min(said, key=lambda each: (len(each[0]), each[1]))
        if fewest:
            unlike.append((label, tuple(fewest)))
        else:
            pairs.append((one, nearest))
    if not pairs:
        raise UserInputError(_refusal(a, b, unlike))
    ours, theirs = ({_measure(one): None for one in file} for file in (a, b))
    return Comparison(
        pairs=tuple(pairs),
        unlike=tuple(unlike),
        only=(
            tuple(measure for measure in ours if measure not in theirs),
            tuple(measure for measure in theirs if measure not in ours),
        ),
    )


def labels(numbers: Sequence[Measurement]) -> list[str]:
    """What each number is called among others: its measure, and the settings that tell it apart.

    Settings that not all numbers of a measure have are left out; of models, a digest's beginning.
    """
    told = [_named_settings(one) for one in numbers]
    names = []
    for one, settings in zip(numbers, told, strict=True):
        others = [s for o, s in zip(numbers, told, strict=True) if _measure(o) == _measure(one)]
        apart = [
            f"{name.rpartition('.')[2]} {shown_setting(value)}"
            for name, value in settings.items()
            if name != "departures"  # they follow from the other settings
            and all(name in other for other in others)
            and any(other[name] != value for other in others)
        ]
        names.append(", ".join([_measure(one), *apart]))
    return names


def verdict(a: Measurement, b: Measurement) -> str:
    """What two numbers with intervals say about each other, and what the intervals are."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return "no interval, so nothing follows from the difference"
    apart = a.high < b.low or b.high < a.low
    kinds = " and ".join(dict.fromkeys((a.interval, b.interval)))
    return f"intervals {'apart' if apart else 'overlap'} ({kinds})"


def _check_allowed(allowed: Sequence[str], numbers: Sequence[Measurement]) -> None:
    known = {
        ".".join(parts[:depth])
        for one in numbers
        for parts in (name.split(".") for name in comparable(one))
        for depth in range(1, len(parts) + 1)
    }
    for name in allowed:
        if name not in known:
            hint = nearest(name, sorted(known))
            raise UserInputError(
                f"Comparing measurements: expected the name of a setting that may differ, found "
                f"{name!r}{hint or ', which no number has.'} Next: correct --allow."
            )


def _measure(one: Measurement) -> str:
    return f"{one.protocol}: {one.measure}"


def _named_settings(one: Measurement) -> dict[str, object]:
    subject = one.settings.get("model")
    stages = subject if isinstance(subject, dict) else {"model": subject}
    models = {
        f"model.{stage}": digest[:8] if isinstance(digest, str) else digest
        for stage, digest in stages.items()
    }
    return {**comparable(one), **models}


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
        names = [sorted({_measure(m) for m in file}) for file in (a, b)]
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
