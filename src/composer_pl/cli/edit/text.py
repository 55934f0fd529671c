"""`composer-pl edit text`."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.edit.frame import Plan, Session

if TYPE_CHECKING:
    from composer_pl.models.prior import PriorModel
    from composer_pl.models.prior_sampling import PriorRecipe
    from composer_pl.models.recipe import SamplingRecipe

HELP = "Draw what a caption says, with or without the prior between caption and picture."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The task's own options."""
    add = parser.add_argument
    add("caption", metavar="CAPTION", help="a text")
    add("--prior", metavar="P", help="a shipped prior, a folder or a .ckpt file of one")
    add("--prior-steps", type=int, metavar="N", help="sampling steps of the prior")
    add("--prior-guidance", type=float, metavar="W", help="guidance of the prior; 1 is none")
    add("--best-of", type=int, metavar="K", help="of K embeddings, the one nearest to the caption")


def recipe(args: argparse.Namespace) -> "SamplingRecipe":
    """What --recipe and --with change."""
    from composer_pl.composing.tasks.frame import FROM_NOISE

    return FROM_NOISE


def plan(args: argparse.Namespace, session: Session) -> Plan:
    """Read the caption; predict embeddings."""
    from composer_pl.composing.tasks.text import text

    prior, prior_recipe = _prior(args)
    drawings = text(
        session.composer,
        args.caption,
        prior=prior,
        prior_recipe=prior_recipe,
        prior_origin=args.prior or "",
        settings=session.settings,
    )
    return Plan(drawings=drawings)


def _prior(args: argparse.Namespace) -> "tuple[PriorModel | None, PriorRecipe | None]":
    """The prior and how it samples; options about it need one."""
    from dataclasses import replace

    from composer_pl.errors import UserInputError
    from composer_pl.models.prior_sampling import PriorRecipe
    from composer_pl.models.storage import load_prior

    options = {
        "steps": args.prior_steps, "guidance": args.prior_guidance, "best_of": args.best_of,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    if args.prior is None:
        if given:
            raise UserInputError(
                "Reading the options of edit text: --prior-steps, --prior-guidance and --best-of "
                "need a --prior, found none. Next: add --prior, or leave them out."
            )
        return None, None
    return load_prior(args.prior, averaged=not args.raw_weights), replace(PriorRecipe(), **given)
