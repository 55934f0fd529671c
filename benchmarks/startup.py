"""G7: help and listings take at most a twentieth of `import lightning`, and load no torch.

    python benchmarks/startup.py [--rounds 7] [--json]

Every round starts a fresh process for `python -c "import lightning"` and for each command, in turn,
so that what else the machine does falls on all of them alike. A figure is the median over the
rounds of (command / import of the same round), in wall time, which the target is about, and in
processor time, which a busy machine disturbs less. Exit code 1 when a command misses the target.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from composer_pl.cli import COMMANDS

TARGET = 1 / 20
HEAVY = ("torch", "lightning", "numpy")
CALLS = [["--help"], *([name, "--help"] for name in COMMANDS), ["plugins", "list"]]
CALLS += [["plugins", "list", "--json"]]


def seconds(*command: str) -> tuple[float, float]:
    """Wall time and processor time of one process."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system
    return wall, used - before.children_user - before.children_system


def heavy_modules(words: list[str]) -> list[str]:
    """Which heavy libraries a command loads."""
    code = (
        "import sys; from composer_pl.cli import main; main(sys.argv[1:]);"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.split()


def measure(rounds: int) -> dict[str, object]:
    """Alternate import and commands; return the record."""
    run = [sys.executable, "-m", "composer_pl"]
    imports: list[tuple[float, float]] = []
    times: dict[str, list[tuple[float, float]]] = {" ".join(words): [] for words in CALLS}
    seconds(sys.executable, "-c", "import lightning")  # fill the page cache
    for _ in range(rounds):
        imports.append(seconds(sys.executable, "-c", "import lightning"))
        for words in CALLS:
            times[" ".join(words)].append(seconds(*run, *words))
    figures = {}
    for words in CALLS:
        mine = times[" ".join(words)]
        pairs = list(zip(mine, imports, strict=True))
        figures[" ".join(words)] = {
            "seconds": round(statistics.median(wall for wall, _ in mine), 4),
            "ratio": round(statistics.median(a[0] / b[0] for a, b in pairs), 5),
            "processor_ratio": round(statistics.median(a[1] / b[1] for a, b in pairs), 5),
            "heavy": heavy_modules(words),
        }
    return {
        "goal": "G7",
        "target_ratio": TARGET,
        "rounds": rounds,
        "import_lightning_seconds": round(statistics.median(wall for wall, _ in imports), 3),
        "python": sys.version.split()[0],
        "commands": figures,
        "met": all(f["ratio"] <= TARGET and not f["heavy"] for f in figures.values()),
    }


def main() -> int:
    """Measure, print, and answer whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    record = measure(args.rounds)
    if args.json:
        print(json.dumps(record, indent=2))
    else:
        print(f"import lightning: {record['import_lightning_seconds']} s (median)")
        for name, figure in record["commands"].items():  # type: ignore[union-attr]
            loaded = f", loads {' '.join(figure['heavy'])}" if figure["heavy"] else ""
            ratios = f"1/{1 / figure['ratio']:.0f}, processor 1/{1 / figure['processor_ratio']:.0f}"
            print(f"{name:<24} {figure['seconds']:.3f} s, {ratios}{loaded}")
        print("target 1/20:", "met" if record["met"] else "MISSED")
    return 0 if record["met"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
