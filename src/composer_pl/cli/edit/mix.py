"""`composer-pl edit mix`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Compose parts of many sources, each with a weight of its own."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add(
        "--part",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="take this part of that photo or parts.safetensors; may be repeated",
    )
    add(
        "--give",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a part by hand: color=#0b3d91,#fff or sketch=drawing.png; may be repeated",
    )
    add("--caption", default="", help="a text; the same as --give caption=TEXT")
    add(
        "--weight",
        action="append",
        default=[],
        metavar="NAME=W",
        help="how much a part counts: 1 is plain, 0 as if absent; may be repeated",
    )


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather each part from its source."""
    from composer_pl.cli.gathering import assignments, numbers
    from composer_pl.composing.tasks.frame import captioned
    from composer_pl.composing.tasks.mix import TASK, mix
    from composer_pl.errors import UserInputError

    files = assignments("--part", args.part, "sketch=photo.png")
    weights = numbers("--weight", args.weight)
    by_hand = session.given("--give", args.give)
    if args.caption:
        by_hand = by_hand | captioned(session.composer, args.caption, task=TASK)
    if twice := [name for name in by_hand if name in files]:
        raise UserInputError(
            f"Reading the options of edit mix: expected one source for a part, found --part and "
            f"another one for {', '.join(twice)}. Next: leave one out."
        )
    sources = {name: session.parts(file, [name]) for name, file in files.items()}
    sources |= {name: by_hand.only(name) for name in by_hand}
    drawing = mix(session.composer, sources, weights=weights, settings=session.settings)
    return Plan(drawings=[drawing], sources={f"for {n}": file for n, file in files.items()})
