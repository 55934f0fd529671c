"""`Measurement`: one number with everything that made it, so that unlike numbers are not compared.

Rival code reports 13.4 and 23.8 for one checkpoint, because captions, resizing and networks differ
and nothing says so. Here a number is a line of a JSONL file, and two lines that differ in anything
but the model are refused.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from composer_pl.errors import UserInputError

SUBJECT = "model"
"""Setting that says what was measured; it may differ between numbers that are compared."""
CONTEXT = "context"
"""Setting for what changes no number: device, batch, names of files."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number.

    Attributes:
        protocol: What was carried out, such as `coco-fid`.
        measure: What of it this is, such as `FID, clean-fid`.
        value: The number.
        low: Lower end of its interval; None where there is none.
        high: Upper end of it.
        interval: Over what the interval runs (`over pictures`, `over generation seeds`), or why
            there is none.
        count: Pictures that the number is of.
        of_protocol: Whether everything was as the protocol says; else the number stands alone.
        settings: Plain JSON of all that made the number. `model` is what was measured, `context`
            what changes no number; everything else must be equal for a comparison.
    """

    protocol: str
    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    interval: str
    count: int
    of_protocol: bool
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no number with an interval around it, and settings that are no JSON."""
        ends = [end for end in (self.low, self.high) if end is not None]
        if not all(isfinite(number) for number in (self.value, *ends)) or len(ends) == 1:
            self._refuse(f"finite numbers, found {self.value}, {self.low}, {self.high}")
        if ends and not ends[0] <= self.value <= ends[1]:
            self._refuse(f"a value inside its interval, found {self.value} in {ends}")
        if self.count < 1:
            self._refuse(f"at least one picture, found {self.count}")
        try:
            plain = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        except (TypeError, ValueError) as error:
            self._refuse(f"settings that JSON can hold, found {error}")
        object.__setattr__(self, "settings", plain)

    def __hash__(self) -> int:
        """Of the text; settings are a mapping and have no hash of their own."""
        return hash(self.to_json())

    def to_json(self) -> str:
        """One line, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    def _refuse(self, problem: str) -> NoReturn:
        raise UserInputError(
            f"Stating the measurement {self.measure!r} of {self.protocol}: expected {problem}. "
            f"Next: measure again."
        )


def append_measurements(path: str | Path, measurements: Iterable[Measurement]) -> None:
    """Append lines to a file, all of them or none as far as the system allows; made when absent.

    A number that stands there already, alike in value and in all that made it, is not written
    again: a command that is repeated finds what it found before.

    Raises:
        OSError: The disk took them not.
    """
    with Path(path).open("a+b") as file:
        file.seek(0)
        there = set(file.read().split(b"\n"))
        lines = (measurement.to_json() for measurement in measurements)
        text = "".join(f"{line}\n" for line in lines if line.encode() not in there)
        if not text:
            return
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a line that was cut off must not swallow the next
                text = f"\n{text}"
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read_measurements(path: str | Path) -> list[Measurement]:
    """Read what `append_measurements` wrote.

    Raises:
        UserInputError: The file is absent, or a line is no measurement.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except OSError as error:
        _unreadable(path, error.strerror or type(error).__name__, "measure first, or correct it")
    except UnicodeDecodeError as error:
        _unreadable(path, str(error), "correct the path")
    return [
        _parsed(line, path, number) for number, line in enumerate(lines, start=1) if line.strip()
    ]


def _parsed(line: str, path: str | Path, number: int) -> Measurement:
    known = [entry.name for entry in fields(Measurement)]
    try:
        data = json.loads(line)
        if not isinstance(data, dict) or data.keys() != set(known):
            raise ValueError(f"other entries than {', '.join(known)}")
        if not isinstance(data["settings"], dict):
            raise ValueError("settings that are no mapping")
        return Measurement(**data)
    except (ValueError, TypeError, RecursionError) as error:
        _unreadable(path, f"line {number}: {error}", "remove that line, or measure again")


def differences(a: Measurement, b: Measurement, *, allowed: Sequence[str] = ()) -> list[str]:
    """What keeps two numbers from being compared; empty when they are alike.

    Args:
        a: One.
        b: The other.
        allowed: Settings that may differ as well, such as `recipe.guidance` or `versions`; all
            below a name is meant.

    Returns:
        Sentences such as `recipe.steps: 25 against 50`, in the order of the settings.
    """
    own, other = comparable(a), comparable(b)
    said = []
    for name in {**own, **other}:
        if any(name == free or name.startswith(f"{free}.") for free in allowed):
            continue
        if own.get(name, _ABSENT) != other.get(name, _ABSENT):
            texts = (
                shown_setting(each[name]) if name in each else "nothing" for each in (own, other)
            )
            said.append(f"{name}: {' against '.join(texts)}")
    return said


_ABSENT = object()


def comparable(measurement: Measurement) -> dict[str, Any]:
    """All that must be equal for a comparison, by dotted name: not the number, not the model."""
    settings = {
        name: value
        for name, value in measurement.settings.items()
        if name not in (SUBJECT, CONTEXT)
    }
    told = {
        "protocol": measurement.protocol,
        "measure": measurement.measure,
        "count": measurement.count,
        "of_protocol": measurement.of_protocol,
        "interval": measurement.interval,
        **settings,
    }
    return flattened(told)


def shown_setting(value: Any) -> str:
    """A setting in at most 40 characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def flattened(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; an empty mapping is a value."""
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _unreadable(path: str | Path, found: str, advice: str) -> NoReturn:
    raise UserInputError(
        f"Reading measurements from {str(path)!r}: expected a file of lines that an evaluation "
        f"wrote, found: {found}. Next: {advice}."
    )
