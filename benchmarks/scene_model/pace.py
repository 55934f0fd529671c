"""Which way of making steps is the best on the machine at hand: clocked, not guessed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of making steps.

    Attributes:
        batch: Pictures a step.
        compiled: With the network compiled.
        graphed: The whole step replayed as a CUDA graph.
    """

    batch: int
    compiled: bool = False
    graphed: bool = False

    def __str__(self) -> str:
        network = "compiled" if self.compiled else "eager"
        return f"{network}{', graph' if self.graphed else ''}, batch {self.batch}"


def worth(way: Way, rate: float) -> float:
    """What a second of a way is worth, given its pictures a second.

    Pictures a second over the root of the batch, which is the geometric mean of pictures and steps
    a second but for a constant. Measured: a loss of 0.052 took 365,000 pictures in batches of 256
    and 512,000 in batches of 512, 1.4 times as many (README).
    """
    return rate / way.batch**0.5


def ranked(
    ways: Sequence[Way],
    clock: Callable[[Way], float],
    *,
    seconds: float,
    log: Callable[[str], None],
) -> list[tuple[Way, float]]:
    """Clock ways of making steps.

    Args:
        ways: The one that is expected to be best first.
        clock: Answers pictures a second; whatever it raises takes a way out.
        seconds: No other way is begun after them, once one has worked.
        log: Told each result and each failure.

    Returns:
        Ways that work with their pictures a second, the best first.

    Raises:
        RuntimeError: None works.
    """
    began = time.monotonic()
    found: list[tuple[Way, float]] = []
    for way in ways:
        if found and time.monotonic() - began > seconds:
            log(f"{way}: not clocked, {seconds:.0f} s are over")
            continue
        try:
            rate = clock(way)
        except Exception as error:  # a capture or a compiler may fail in any manner
            log(f"{way}: fails, {type(error).__name__}: {str(error)[:400]}")
            continue
        log(f"{way}: {rate:.0f} pictures/s, {rate / way.batch:.1f} steps/s")
        found.append((way, rate))
    if not found:
        raise RuntimeError("no way of making steps works")
    return sorted(found, key=lambda entry: -worth(*entry))
