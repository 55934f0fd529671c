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
        default="",
        metavar="A,B",
        help="its parts to draw under; default: those of --before",
    )
    add("--caption", default="", help="words to draw under; default: those of --before-caption")
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
    from composer_pl.cli.settings import parse_names
    from composer_pl.composing.parts import Parts
    from composer_pl.composing.tasks.frame import captioned
    from composer_pl.composing.tasks.inversion import TASK, inversion

    names = parse_names(args.before)
    others = parse_names(args.after) or names
    wanted = list(dict.fromkeys([*names, *others]))
    own = session.parts(args.picture, wanted) if wanted else Parts({})
    before, after = own.only(*names), own.only(*others)
    if args.before_caption:
        before = before | captioned(session.composer, args.before_caption, task=TASK)
    if words := args.caption or args.before_caption:
        after = after | captioned(session.composer, words, task=TASK)
    after = after | session.given("--give", args.give)
    drawing = inversion(session.composer, args.picture, before, after, settings=session.settings)
    return Plan(drawings=[drawing], sources=[args.picture])
