"""Signs of life on standard error, where a command would work in silence for a minute."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

EVERY = 5.0
"""Seconds between two lines; what is over sooner says nothing."""


@contextmanager
def telling(doing: str) -> Iterator[None]:
    """Say every few seconds what is still being done, and for how long: `Loading a model: 5 s`."""
    over, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not over.wait(EVERY):
            _say(f"{doing}: {time.monotonic() - began:.0f} s")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def sampling_progress() -> Callable[[int, int], None]:
    """What to call with (finished steps, all steps): one line that overwrites itself on a terminal.

    Elsewhere, in a log say, it is a plain line every few seconds.
    """
    from composer_pl.cli.gathering import tell_progress

    return tell_progress if sys.stderr.isatty() else _StepLines()


class _StepLines:
    def __init__(self):
        self.began = self.told = time.monotonic()

    def __call__(self, step: int, steps: int) -> None:
        now = time.monotonic()
        if now - self.told >= EVERY:
            self.told = now
            _say(f"step {step}/{steps}, {now - self.began:.0f} s")


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # nobody listens any more
        print(line, file=sys.stderr, flush=True)
