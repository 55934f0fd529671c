"""What `eval control` needs beside the model: judges, baselines, scenes, training pictures."""

import argparse
from typing import TYPE_CHECKING

from composer_pl.cli.eval.sample_options import chosen_names

if TYPE_CHECKING:
    from torch import Tensor

    from composer_pl.composing.composer import Composer
    from composer_pl.data.scenes.description import Scene
    from composer_pl.evaluation.control.baselines import Baseline
    from composer_pl.evaluation.control.measure import Draw
    from composer_pl.evaluation.control.others import Other
    from composer_pl.evaluation.samples import Samples
    from composer_pl.models.recipe import SamplingRecipe


def blind_of(
    args: argparse.Namespace, composer: "Composer", recipe: "SamplingRecipe"
) -> "Draw | None":
    """What draws the blind row; None leaves it to the model itself, given nothing.

    Raises:
        ComposerPLError: The options contradict each other, or what they name cannot be read.
    """
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.control.measure import drawing_of
    from composer_pl.models.hub import located
    from composer_pl.models.storage import load_model

    if not args.blind:
        return None
    model = load_model(located(args.blind)).to(composer.device).eval()
    sides = [each.config.resolution for each in (composer.model, model)]
    if sides[0] != sides[1]:
        raise UserInputError(
            f"Measuring control: expected a blind model of the same side as the model's, "
            f"{sides[0]} pixels, found {sides[1]}. Next: give another --blind."
        )
    return drawing_of(model, recipe, bfloat16=args.bfloat16)


def baselines_of(
    args: argparse.Namespace,
    composer: "Composer",
    names: tuple[str, ...],
    recipe: "SamplingRecipe",
) -> "list[Baseline]":
    """The models of `--baseline`.

    Raises:
        ComposerPLError: The options contradict each other, or what they name cannot be read.
    """
    from pathlib import Path

    from composer_pl.composing.identity import model_digest
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.control.baselines import baseline_of
    from composer_pl.models.hub import located
    from composer_pl.models.storage import load_model

    found = []
    for text in args.baseline:
        label, equals, place = text.partition("=")
        label, place = (label, place) if equals else (Path(text).name, text)
        if label in [baseline.label for baseline in found]:
            raise UserInputError(
                f"Measuring control: expected baselines of different names, found {label!r} "
                f"twice. Next: give LABEL=MODEL."
            )
        other = load_model(located(place)).to(composer.device).eval()
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


def scenes_of(
    args: argparse.Namespace, samples: "Samples", composer: "Composer"
) -> "list[Scene] | None":
    """The scenes that the pictures show; None where they are photos.

    Raises:
        ComposerPLError: The options contradict each other, or what they name cannot be read.
    """
    from composer_pl.evaluation.control.subjects import rendered_scenes, root_scenes

    if not args.root:
        return rendered_scenes(samples.facts)
    reads = any("caption" in plugin.inputs for plugin in composer.model.plugins.values())
    return root_scenes(args.root, samples, split=args.split, captioned=reads)


def others_of(
    args: argparse.Namespace, composer: "Composer", names: list[str], *, photos: bool
) -> "tuple[list[Other], list[str]]":
    """Judges asked for, and on photos those that are at hand; sentences on what is missing.

    Raises:
        ComposerPLError: A judge that was asked for cannot be built.
    """
    from composer_pl.cli.settings import parse_settings
    from composer_pl.evaluation.control.others import found_others, other_of

    plugins = {name: composer.decomposer.plugins[name] for name in names}
    size = composer.decomposer.extraction.value_size
    others, missing = found_others(plugins, size) if photos else ([], {})
    asked = parse_settings(args.judge, "--judge")
    missing = {name: lacking for name, lacking in missing.items() if name not in asked}
    for name, arguments in asked.items():
        chosen_names(name, composer, doing="Choosing a judge")
        if name in plugins:
            other = other_of(name, plugins[name], arguments, size)
            others = [o for o in others if o.key != other.key] + [other]
    return others, [
        f"{name} could be judged by {' or '.join(lacking)} too, whose weights are not here."
        for name, lacking in missing.items()
    ]


def training_of(args: argparse.Namespace, composer: "Composer") -> "Tensor | None":
    """Training pictures to look for copies among; None where none were asked for.

    Raises:
        ComposerPLError: The options contradict each other, or what they name cannot be read.
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
