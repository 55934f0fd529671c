"""`composer-pl edit reconfiguration`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Draw a picture with its sketch, map, depth or palette edited by hand."
CONFINED = "picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a photo")
    add(
        "--give",
        action="append",
        default=[],
        required=True,
        metavar="NAME=VALUE",
        help="the edited part: sketch=edited.png or color=#0b3d91,#fff; may be repeated",
    )
    add(
        "--keep",
        metavar="A,B",
        help="its other parts that hold before and after, or none; default: beside an edited map "
        "all that is global, beside an edited palette the maps",
    )
    add("--caption", default="", help="words that are true of it before and after")


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import INVERTING

    return INVERTING


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather the edited parts, invert under the picture's own."""
    from composer_pl.cli.settings import parse_chosen
    from composer_pl.composing.panels import part_panel
    from composer_pl.composing.tasks.reconfiguration import reconfiguration

    drawing = reconfiguration(
        session.composer,
        args.picture,
        session.given("--give", args.give),
        keep=parse_chosen(args.keep, "--keep"),
        caption=args.caption,
        settings=session.settings,
    )
    plugins, own = session.composer.model.plugins, drawing.against
    changed = [name for name in own if not own[name].equal(drawing.parts[name])]
    panels = [part_panel(f"{name}, its own", plugins[name], own[name]) for name in changed]
    return Plan(drawings=[drawing], sources=[args.picture], panels=panels)
