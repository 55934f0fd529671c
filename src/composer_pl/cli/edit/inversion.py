"""`composer-pl edit inversion`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Walk a picture back to noise under some of its parts, and draw it again under others."
CONFINED = "picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a photo")
    add("--before", default="", metavar="A,B", help="its parts to walk back under; default: none")
    add("--before-caption", default="", metavar="TEXT", help="words that are true of it")
    add(
        "--after",
        metavar="A,B",
        help="its parts to draw under, or none; default: those of --before",
    )
    add("--caption", help='words to draw under, "" for none; default: those of --before-caption')
    add(
        "--give",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value by hand to draw under; may be repeated",
    )


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import INVERTING

    return INVERTING


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather both sets."""
    from composer_pl.cli.settings import parse_chosen, parse_names
    from composer_pl.composing.parts import Parts
    from composer_pl.composing.tasks.frame import captioned
    from composer_pl.composing.tasks.inversion import TASK, inversion

    names = parse_names(args.before)
    after = parse_chosen(args.after, "--after")
    others = names if after is None else after
    wanted = list(dict.fromkeys([*names, *others]))
    own = session.parts(args.picture, wanted) if wanted else Parts({})
    before, parts = own.only(*names), own.only(*others)
    if args.before_caption:
        before = before | captioned(session.composer, args.before_caption, task=TASK)
    if words := args.before_caption if args.caption is None else args.caption:
        parts = parts | captioned(session.composer, words, task=TASK)
    parts = parts | session.given("--give", args.give)
    drawing = inversion(session.composer, args.picture, before, parts, settings=session.settings)
    return Plan(drawings=[drawing], sources=[args.picture])
