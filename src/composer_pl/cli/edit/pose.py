"""`composer-pl edit pose`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Draw the thing of a picture in another pose."
CONFINED = "picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="what the thing looks like: a photo")
    add("--like", metavar="PHOTO", help="a photo or parts.safetensors that has the pose")
    add("--maps", default="instances", metavar="A,B", help="which maps of --like")
    add(
        "--give",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a map by hand: sketch=drawing.png, instances=ids.png; may be repeated",
    )
    add(
        "--route",
        choices=["noise", "inversion"],
        default="noise",
        help="begin with noise, or walk the picture back under its own pose (ddim, 50 steps)",
    )


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE, INVERTING

    return INVERTING if args.route == "inversion" else FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather semantics and maps."""
    from composer_pl.cli.settings import parse_names
    from composer_pl.composing.parts import Parts
    from composer_pl.composing.tasks.frame import require
    from composer_pl.composing.tasks.pose import TASK, pose

    require(session.composer, TASK, "semantics")  # before maps are extracted
    maps = Parts({})
    if args.like:
        maps = session.parts(args.like, parse_names(args.maps))
    maps = maps | session.given("--give", args.give)
    drawing = pose(
        session.composer, args.picture, maps, route=args.route, settings=session.settings
    )
    sources = {"picture": args.picture} | ({"pose of": args.like} if args.like else {})
    return Plan(drawings=[drawing], sources=sources)
