"""`composer-pl edit region`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Draw a region of a picture anew; every pixel outside stays as it was."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a photo of any size; it comes back at that size")
    add(
        "--mask",
        required=True,
        metavar="MASK",
        help="a picture of its size, white where to edit; or a box top,left,bottom,right in shares",
    )
    add("--keep", metavar="A,B", help="its parts that hold inside as well")
    add("--caption", default="", help="what the region is to show, or the whole with it")
    add("--from", dest="source", default="", metavar="OTHER", help="a picture to take parts of")
    add("--take", default="", metavar="A,B", help="parts of --from; default: all that is global")
    add(
        "--give",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a value by hand; may be repeated",
    )
    add("--closely", action="store_true", help="look at the region closely: for small ones")
    add("--soft", type=int, metavar="PIXELS", help="border within which the new fades in")


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather the parts that the region is to have."""
    from composer_pl.cli.settings import parse_chosen, parse_names
    from composer_pl.composing.parts import Parts
    from composer_pl.composing.tasks.frame import captioned
    from composer_pl.composing.tasks.interpolation import blended_by_default
    from composer_pl.composing.tasks.region import TASK, region
    from composer_pl.errors import UserInputError
    from composer_pl.sheet import Panel

    composer, parts = session.composer, Parts({})
    if args.take and not args.source:
        raise UserInputError(
            "Reading the options of edit region: --take needs a picture, found none. Next: add "
            "--from OTHER."
        )
    if args.source:
        taken = parse_names(args.take) or blended_by_default(composer)
        parts = session.parts(args.source, taken)
    if args.caption:
        parts = parts | captioned(composer, args.caption, task=TASK)
    drawing = region(
        composer,
        args.picture,
        args.mask,
        keep=parse_chosen(args.keep, "--keep") or [],
        parts=parts | session.given("--give", args.give),
        closely=args.closely,
        soft=args.soft,
        settings=session.settings,
    )
    assert drawing.background is not None
    assert drawing.inside is not None
    hole = (drawing.background + 1) / 2 * (1 - drawing.inside) + 0.5 * drawing.inside
    panels = [
        Panel(title="picture", content=(drawing.background + 1) / 2),
        Panel(title="region", content=hole),
    ]
    if args.source and not args.source.endswith(".safetensors"):
        source = (composer.decomposer.source(args.source)[0].cpu() + 1) / 2
        panels.append(Panel(title="other picture", content=source))
    return Plan(drawings=[drawing], panels=panels)
