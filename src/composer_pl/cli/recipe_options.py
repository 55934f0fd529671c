"""Options that set the sampling recipe, alike for every command that draws."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composer_pl.models.recipe import SamplingRecipe

_DIRECT = ("sampler", "steps", "guidance", "eta")


def add_recipe_arguments(parser: argparse.ArgumentParser, *, sweep: bool = False) -> None:
    """`--recipe`, `--with`, and the settings that are asked for most.

    Args:
        parser: Of a command that draws.
        sweep: Whether `--guidance` takes several values, into `args.guidances`, each for a recipe
            of its own; `recipe_from_options` then leaves the guidance as it is.
    """
    parser.add_argument(
        "--recipe", metavar="FILE", help="YAML file of sampling settings; options override it"
    )
    parser.add_argument(
        "--with",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting of the recipe: conditions.sketch.weight=0.5, conditions.color.end=0.6, "
        "conditions.caption.region=0,0,1,0.5, threshold=0.995, rescale=0.7; may be repeated",
    )
    parser.add_argument(
        "--sampler", choices=["dpmpp_2m", "ddim"], help="default: dpmpp_2m, of an inversion ddim"
    )
    parser.add_argument("--steps", type=int, help="sampling steps; default: 25, of an inversion 50")
    if sweep:
        parser.set_defaults(guidance=None)
        parser.add_argument(
            "--guidance",
            dest="guidances",
            type=_numbers,
            metavar="G,G,...",
            help="1 is no guidance; several are measured one after the other; default: 3",
        )
    else:
        parser.add_argument(
            "--guidance", type=float, help="1 is no guidance; default: 3, of an inversion 1"
        )
    parser.add_argument("--eta", type=float, help="noise of DDIM; default: 0")


def _numbers(text: str) -> tuple[float, ...]:
    """`1,2,3` -> (1.0, 2.0, 3.0)."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers such as 1,2,3, found {text!r}"
        ) from None


def recipe_from_options(
    args: argparse.Namespace, base: "SamplingRecipe | None" = None
) -> "SamplingRecipe":
    """The recipe that the options ask for.

    Args:
        args: Of a parser with `add_recipe_arguments`.
        base: What they change; None is the default recipe.

    Raises:
        UserInputError: The file or a setting is wrong.
    """
    from dataclasses import replace

    from composer_pl.models.recipe import load_recipe

    given = {name: getattr(args, name) for name in _DIRECT}
    direct = {name: value for name, value in given.items() if value is not None}
    return replace(load_recipe(args.recipe, args.overrides, base=base), **direct)
