"""What the protocols of `composer-pl eval` share: options, the progress line, settings, results."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from composer_pl.cli.parser import seed_value
from composer_pl.cli.recipe_options import add_recipe_arguments

if TYPE_CHECKING:
    from pathlib import Path

    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.measurement import Measurement
    from composer_pl.evaluation.report import Part


def add_model_arguments(
    parser: argparse.ArgumentParser, *, pictures: int | None, sweep: bool = False
) -> None:
    """Options of every protocol that draws: the model, the folder, how many, how.

    Args:
        parser: Of the protocol.
        pictures: Default of `-n`; None is what the protocol itself asks for.
        sweep: Whether `--guidance` takes several values, into `args.guidances`.
    """
    add = parser.add_argument
    add("--ckpt", required=True, metavar="C", help="a shipped model, a model folder or .ckpt file")
    add(
        "--upsampler",
        action="append",
        metavar="U",
        help="an upsampler for that model; a second one for a cascade",
    )
    add("--out", required=True, metavar="DIR", help="folder for the report and its numbers")
    told = "what the protocol asks for" if pictures is None else pictures
    add("-n", type=int, default=pictures, help=f"how many pictures; default: {told}")
    add("--seed", type=seed_value, default=0, help="picture i of a seed is always the same")
    add("--batch", type=int, default=16, help="pictures drawn at once; changes none of them")
    add_recipe_arguments(parser, sweep=sweep)
    add("--upsampler-steps", type=int, metavar="N", help="sampling steps of the upsampler")
    add("--raw-weights", action="store_true", help="not the averaged ones")
    add("--device", default="cpu", help="cpu or cuda")


def progress_line(what: str) -> Callable[[int, int], None] | None:
    """A callback `(done, of)` that keeps one line on stderr; None where nobody reads it.

    Args:
        what: In words, such as `pictures drawn`.
    """
    if not sys.stderr.isatty():
        return None
    begun: tuple[float, int] | None = None

    def tell(done: int, of: int) -> None:
        nonlocal begun
        now = time.monotonic()
        start, found = begun = begun or (now, done)  # what was found done took no time
        left = ""
        if found < done < of:
            left = f", about {(now - start) / (done - found) * (of - done):.0f} s left"
        end = "\n" if done >= of else ""
        print(f"\r{done}/{of} {what}{left}\033[K", end=end, file=sys.stderr, flush=True)

    return tell


def subject_settings(
    composer: "Composer", names: "Iterable[str]", context: Mapping[str, Any]
) -> dict[str, Any]:
    """What every measurement of a model says: the model, versions, and the machine as context.

    Args:
        composer: The model.
        names: Conditions that took part.
        context: Further settings that change no number.
    """
    from composer_pl.composing.identity import machine_facts

    machine = machine_facts(composer.model.plugins, names, composer.device)
    return {
        "model": composer.identity["base"],
        "versions": machine.pop("versions"),
        "context": {**machine, **context},
    }


def write_results(
    out: "Path",
    title: str,
    parts: "Sequence[Part]",
    *,
    facts: Mapping[str, Any],
    measurements: "Iterable[Measurement]",
) -> None:
    """Write a report and its numbers into a folder, in place of earlier ones.

    Args:
        out: The folder.
        title: Of the report.
        parts: What it shows.
        facts: What made it.
        measurements: The numbers.

    Raises:
        UserInputError: The disk took them not.
    """
    from composer_pl.cli.eval.compare import RESULTS
    from composer_pl.cli.output import writing
    from composer_pl.evaluation.measurement import append_measurements
    from composer_pl.evaluation.report import write_report

    with writing(out):
        write_report(out, title, parts, facts=facts)
        (out / RESULTS).unlink(missing_ok=True)
        append_measurements(out / RESULTS, measurements)
