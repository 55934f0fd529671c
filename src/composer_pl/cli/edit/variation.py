"""`composer-pl edit variation`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Keep some parts of a picture and let chance decide the rest."
CONFINED = "picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    parser.add_argument("picture", metavar="PICTURE", help="a photo or parts.safetensors")
    parser.add_argument(
        "--keep", metavar="A,B", help="parts to keep, or none; default: all but pixels"
    )
    parser.add_argument("--drop", default="", metavar="A,B", help="parts to leave out of those")
    parser.add_argument("--caption", default="", help="text that goes with the picture")


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather the parts."""
    from composer_pl.cli.settings import parse_chosen, parse_names
    from composer_pl.composing.tasks.variation import variation

    keep = parse_chosen(args.keep, "--keep")
    drawing = variation(
        session.composer,
        session.parts(args.picture, keep, caption=args.caption),
        keep=keep,
        drop=parse_names(args.drop),
        settings=session.settings,
    )
    return Plan(drawings=[drawing], sources=[args.picture])
