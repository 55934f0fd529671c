"""`composer-pl edit colorization`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Give a picture the colours of a palette."
CONFINED = "picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a photo, grey or coloured")
    add(
        "--palette",
        metavar="P",
        help="hex colours with optional weights, #0b3d91:2,#fff, or a photo that has the colours; "
        "without one they are left to chance",
    )
    add(
        "--route",
        choices=["noise", "inversion"],
        default="noise",
        help="begin with noise, or walk the picture back under its own palette (ddim, 50 steps)",
    )
    add("--keep", metavar="A,B", help="further parts of the picture, such as sketch")
    add(
        "--keep-luma",
        action="store_true",
        help="paste the picture's own light and dark, at its own size where that is larger",
    )


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE, INVERTING

    return INVERTING if args.route == "inversion" else FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather intensity and palette."""
    from composer_pl.cli.settings import parse_chosen
    from composer_pl.composing.tasks.colorization import colorization

    drawing = colorization(
        session.composer,
        args.picture,
        args.palette,
        route=args.route,
        keep=parse_chosen(args.keep, "--keep") or [],
        keep_luma=args.keep_luma,
        settings=session.settings,
    )
    sources = {"picture": args.picture}
    if args.palette and not args.palette.lstrip().startswith("#"):
        sources["colours"] = args.palette
    return Plan(drawings=[drawing], sources=sources)
