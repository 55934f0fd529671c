"""What a check answers with."""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: `broken` makes the exit code 1; a `note` is worth knowing and breaks nothing.
        text: What was found.
        next_step: What mends it, without `Next:`; empty where nothing is to be done.
    """

    name: str
    state: State
    text: str
    next_step: str = ""

    def as_record(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "name": self.name,
            "state": self.state,
            "text": self.text,
            "next": self.next_step,
        }


def refused(name: str, message: str) -> Finding:
    """A broken finding of one of our own messages, which end with `Next: ...`."""
    text, _, next_step = one_line(message).partition(" Next: ")
    return Finding(name, "broken", text, next_step)


def one_line(text: str) -> str:
    """Any text as one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= 600 else f"{line[:600]}..."


def size_text(count: float) -> str:
    """Bytes as a person reads them: `3.2 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
