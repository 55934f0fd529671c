"""What `eval control` needs beside the model: judges, baselines, training pictures."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.eval.sample_options import chosen_names

if TYPE_CHECKING:
    from torch import Tensor

    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.control.baselines import Baseline
    from composer_pl.evaluation.control.measure import Draw
    from composer_pl.evaluation.control.others import Other
    from composer_pl.models.recipe import SamplingRecipe


def blind_of(
    args: argparse.Namespace, composer: "Composer", recipe: "SamplingRecipe"
) -> "tuple[Draw | None, str]":
    """What draws the blind row, and the digest of that model.

    Without `--blind` there is none: the measured model is given nothing.

    Raises:
        ComposerPLError: The model cannot be read, or draws at another side.
    """
    from composer_pl.composing.identity import model_digest
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.control.measure import drawing_of
    from composer_pl.models.storage import load_model

    if not args.blind:
        return None, "the model, given nothing"
    model = load_model(args.blind, averaged=not args.raw_weights).to(composer.device)
    sides = [each.config.resolution for each in (composer.model, model)]
    if sides[0] != sides[1]:
        raise UserInputError(
            f"Measuring control: expected a blind model of the same side as the model's, "
            f"{sides[0]} pixels, found {sides[1]}. Next: give another --blind."
        )
    return drawing_of(model, recipe, bfloat16=args.bfloat16), model_digest(model)


def baselines_of(
    args: argparse.Namespace,
    composer: "Composer",
    names: tuple[str, ...],
    recipe: "SamplingRecipe",
) -> "list[Baseline]":
    """The models of `--baseline`.

    Raises:
        ComposerPLError: Two have one label, one cannot be read, or does not fit the model.
    """
    from pathlib import Path

    from composer_pl.composing.identity import model_digest
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.control.baselines import baseline_of
    from composer_pl.models.storage import load_model

    found = []
    for text in args.baseline:
        label, equals, place = text.partition("=")
        if not equals or Path(text).exists():  # a folder such as lr=0.1 is no label
            label, place = Path(text).name, text
        if not label.strip() or not place.strip():
            raise UserInputError(
                f"Measuring control: expected --baseline LABEL=MODEL or MODEL, found {text!r}. "
                f"Next: correct it."
            )
        if label in [baseline.label for baseline in found]:
            raise UserInputError(
                f"Measuring control: expected baselines of different names, found {label!r} "
                f"twice. Next: give LABEL=MODEL."
            )
        other = load_model(place, averaged=not args.raw_weights).to(composer.device)
        found.append(
            baseline_of(
                label,
                other,
                composer.model,
                names,
                recipe,
                sha256=model_digest(other),
                bfloat16=args.bfloat16,
            )
        )
    return found


def others_of(
    args: argparse.Namespace, composer: "Composer", names: list[str], *, photos: bool
) -> "tuple[list[Other], list[str]]":
    """Judges asked for, and on photos those that are at hand; sentences on what is missing.

    Raises:
        ComposerPLError: A judge that was asked for cannot be built, or is of no measured condition.
    """
    from composer_pl.cli.settings import parse_settings
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.control.others import found_others, other_of

    plugins = {name: composer.decomposer.plugins[name] for name in names}
    size = composer.decomposer.extraction.value_size
    others, missing = found_others(plugins, size) if photos else ([], {})
    asked = parse_settings(args.judge, "--judge")
    missing = {name: lacking for name, lacking in missing.items() if name not in asked}
    for name, arguments in asked.items():
        chosen_names(name, composer, doing="Choosing a judge")
        if name not in plugins:
            raise UserInputError(
                f"Choosing a judge: expected one of a condition that is measured "
                f"({', '.join(names)}), found --judge {name}. Next: leave it out, or name "
                f"{name} in --conditions."
            )
        other = other_of(name, plugins[name], arguments, size)
        others = [o for o in others if o.key != other.key] + [other]
    return others, [
        f"{name} could be judged by {' or '.join(lacking)} too, whose weights are not here."
        for name, lacking in missing.items()
    ]


def training_of(args: argparse.Namespace, composer: "Composer") -> "Tensor | None":
    """Training pictures to look for copies among; None where none were asked for.

    Raises:
        ComposerPLError: Both kinds are asked for, or there are none that can be read.
    """
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.control.subjects import training_pictures

    if args.training and args.training_scenes is not None:
        raise UserInputError(
            "Looking for copies: expected --training or --training-scenes, found both. "
            "Next: leave one out."
        )
    if not args.training and args.training_scenes is None:
        return None
    side = composer.model.config.resolution
    return training_pictures(args.training, args.training_scenes, resolution=side)
