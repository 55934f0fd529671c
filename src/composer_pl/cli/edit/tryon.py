"""`composer-pl edit tryon`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Fill the garment's region of a person's picture with another garment."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("person", metavar="PERSON", help="a photo")
    add("garment", metavar="GARMENT", help="a photo or parts.safetensors of the garment alone")
    add("--mask", required=True, metavar="M", help="where the person's garment is: white is inside")
    add("--keep", metavar="A,B", help="parts of the person that hold inside as well")


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Gather the garment; keep the rest of the person."""
    from composer_pl.cli.settings import parse_chosen
    from composer_pl.composing.tasks.tryon import tryon

    drawing = tryon(
        session.composer,
        args.person,
        args.garment,
        args.mask,
        keep=parse_chosen(args.keep, "--keep") or [],
        settings=session.settings,
    )
    return Plan(drawings=[drawing], sources={"person": args.person, "garment": args.garment})
