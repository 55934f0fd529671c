"""`composer-pl edit translation`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Draw the content of a picture as a text says."
CONFINED = "picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a photo")
    add("caption", metavar="CAPTION", help="what it is to become")
    add("--before", default="", metavar="CAPTION", help="what it is now, in words")
    add(
        "--keep",
        metavar="A,B",
        help="content to keep, or none; default: sketch,depth,instances as far as the model has "
        "them",
    )
    add(
        "--route",
        choices=["inversion", "noise"],
        default="inversion",
        help="walk the picture back to noise and draw from there (ddim, 50 steps), or begin anew",
    )


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE, INVERTING

    return INVERTING if args.route == "inversion" else FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather content and caption."""
    from composer_pl.cli.settings import parse_chosen
    from composer_pl.composing.tasks.translation import translation

    drawing = translation(
        session.composer,
        args.picture,
        args.caption,
        before=args.before,
        keep=parse_chosen(args.keep, "--keep"),
        route=args.route,
        settings=session.settings,
    )
    return Plan(drawings=[drawing], sources=[args.picture])
