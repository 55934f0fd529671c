"""`composer-pl edit style`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Draw the content of one picture in the style of another."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("look", metavar="STYLE", help="the photo or parts.safetensors whose style is taken")
    add("content", metavar="CONTENT", help="the one whose content is taken")
    add("--strength", type=float, default=1.0, help="0 is the content's own style, 1 the other's")
    add("--styles", default="semantics", metavar="A,B", help="parts that make the style")
    add(
        "--contents",
        metavar="A,B",
        help="parts that make the content, or none; default: depth,sketch as far as the model has "
        "them",
    )


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather style and content."""
    from composer_pl.cli.settings import parse_chosen, parse_names
    from composer_pl.composing.tasks.style import style

    drawing = style(
        session.composer,
        args.look,
        args.content,
        strength=args.strength,
        styles=parse_names(args.styles),
        contents=parse_chosen(args.contents, "--contents"),
        settings=session.settings,
    )
    return Plan(drawings=[drawing], sources={"style": args.look, "content": args.content})
