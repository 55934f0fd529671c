"""The method of every speed comparison: interleaved rounds in one process, ratios by round.

On the CPU one thread and process CPU time, so that neighbours on the machine matter little; on a
GPU wall clock with synchronisation. Each round runs every contestant once; the next round runs them
in reversed order. What counts is the median over the rounds of the ratio within a round.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch


@dataclass(frozen=True)
class Ratio:
    """How many times faster `ours` is than `peer`: median, slowest and fastest round."""

    ours: str
    peer: str
    median: float
    low: float
    high: float
    goal: float | None = None

    @property
    def passed(self) -> bool | None:
        """Median at the goal and the worst round at 0.9 of it; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal and self.low >= 0.9 * self.goal


def clock(device: str) -> float:
    """Seconds: CPU time of this process, or wall clock after the GPU has finished."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def run_rounds(
    contestants: dict[str, Callable[[], object]],
    *,
    rounds: int,
    device: str = "cpu",
    repeats: int = 1,
    warmup: int = 1,
) -> dict[str, list[float]]:
    """Seconds of one call, for each contestant and round.

    Args:
        contestants: Functions by name.
        rounds: How many; at least 5 for a number that is quoted.
        device: "cpu" or "cuda".
        repeats: Calls timed together in a round.
        warmup: Calls of each before the first round.
    """
    for contestant in contestants.values():
        for _ in range(warmup):
            contestant()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for index in range(rounds):
        order = list(contestants)
        for name in order if index % 2 == 0 else reversed(order):
            start = clock(device)
            for _ in range(repeats):
                contestants[name]()
            seconds[name].append((clock(device) - start) / repeats)
    return seconds


def ratio(
    seconds: dict[str, list[float]], ours: str, peer: str, *, goal: float | None = None
) -> Ratio:
    """Compare two contestants round by round."""
    ratios = [p / o for o, p in zip(seconds[ours], seconds[peer], strict=True)]
    return Ratio(ours, peer, median(ratios), min(ratios), max(ratios), goal)


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    options = argparse.ArgumentParser(description=description.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--dry-run", action="store_true", help="tiny sizes, to test the script")
    options.add_argument("--json", type=Path, help="also write the numbers to this file")
    return options


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself, so that the default settings use autocast."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def one_thread(device: str) -> None:
    """One CPU thread, as two busy ones measure each other; no effect on a GPU."""
    if device == "cpu":
        torch.set_num_threads(1)


def report(
    title: str,
    seconds: dict[str, list[float]],
    ratios: Sequence[Ratio],
    *,
    device: str,
    notes: dict[str, object],
    path: Path | None,
) -> None:
    """Print times and ratios, and write them as JSON when a path is given."""
    machine = torch.cuda.get_device_name() if device == "cuda" else platform.processor()
    print(f"\n{title}\n{machine or platform.machine()}, torch {torch.__version__}, {device}")
    for name, value in notes.items():
        print(f"  {name}: {value}")
    width = max(len(name) for name in seconds)
    print(f"\n  {'':{width}}   median s     best s    worst s")
    for name, times in seconds.items():
        print(f"  {name:{width}} {median(times):10.4f} {min(times):10.4f} {max(times):10.4f}")
    print()
    for entry in ratios:
        spread = f"[{entry.low:.3f}..{entry.high:.3f}]"
        line = f"  {entry.ours} vs {entry.peer}: {entry.median:.3f}x {spread}"
        if entry.goal is not None:
            line += f"  goal {entry.goal:.2f}x: {'met' if entry.passed else 'NOT met'}"
        print(line)
    if path is not None:
        record = {
            "title": title,
            "machine": machine,
            "torch": torch.__version__,
            "device": device,
            "notes": notes,
            "seconds": seconds,
            "ratios": [{**asdict(entry), "passed": entry.passed} for entry in ratios],
        }
        existing = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps([*existing, record], indent=2, default=str) + "\n")
