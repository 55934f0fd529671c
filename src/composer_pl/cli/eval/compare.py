"""`composer-pl eval compare A B`: numbers side by side, if they were made in the same way."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from composer_pl.evaluation.measurement import Measurement

HELP = "Compare the numbers of two evaluations; refuses those that were made in different ways."

RESULTS = "results.jsonl"
"""The file of measurements in the folder of an evaluation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("a", metavar="A", help=f"folder of an evaluation, or its {RESULTS}")
    add("b", metavar="B", help="the other one")
    add(
        "--allow",
        action="append",
        default=[],
        metavar="SETTING",
        help="a setting that may differ: recipe.guidance, versions; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Read both, pair what is alike, print it."""
    from composer_pl.evaluation.comparison import compare, labels, verdict
    from composer_pl.evaluation.measurement import differences, read_measurements

    files = [read_measurements(_file(name)) for name in (args.a, args.b)]
    found = compare(*files, allowed=args.allow)
    names = [
        label if one.of_protocol else f"{label} (not the protocol)"
        for label, (one, _) in zip(
            labels([one for one, _ in found.pairs]), found.pairs, strict=True
        )
    ]
    numbers = [(_shown(one), _shown(other)) for one, other in found.pairs]
    first, second = max(map(len, names)), max(len(text) for pair in numbers for text in pair)
    print(f"{'':<{first}}  {'A':>{second}}  {'B':>{second}}")
    for name, (left, right), (one, other) in zip(names, numbers, found.pairs, strict=True):
        print(f"{name:<{first}}  {left:>{second}}  {right:>{second}}  {verdict(one, other)}")
        for difference in differences(one, other):
            print(f"  allowed, {difference}")
    for name, said in found.unlike:
        print(f"{name}: not compared; {'; '.join(said[:3])}{'; ...' if len(said) > 3 else ''}")
    for side, measures in zip("AB", found.only, strict=True):
        if measures:
            print(f"only in {side}: {'; '.join(measures)}")
    return 0


def _file(name: str) -> "Path":
    from pathlib import Path

    path = Path(name)
    return path / RESULTS if path.is_dir() else path


def _shown(measurement: "Measurement") -> str:
    """The value, and its interval in brackets."""
    text = f"{measurement.value:.4g}"
    if measurement.low is None:
        return text
    return f"{text} [{measurement.low:.4g}, {measurement.high:.4g}]"
