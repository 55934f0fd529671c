"""`composer-pl eval control`: how well pictures obey each condition, alone and in company."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from composer_pl.cli.eval.control_sources import baselines_of, blind_of, others_of, training_of
from composer_pl.cli.eval.frame import progress_line, subject_settings, write_results
from composer_pl.cli.eval.sample_options import (
    add_subject_arguments,
    check_numbers,
    chosen_names,
    samples_of,
    scenes_of,
)
from composer_pl.cli.recipe_options import add_recipe_arguments, recipe_from_options

if TYPE_CHECKING:
    from torch import Tensor

    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.control.copies import Copies
    from composer_pl.evaluation.control.measure import Control
    from composer_pl.evaluation.control.quality import Quality
    from composer_pl.evaluation.metrics.features import PictureFeatures
    from composer_pl.evaluation.samples import Samples
    from composer_pl.models.recipe import SamplingRecipe

HELP = (
    "How well pictures obey each condition of a model: alone, in pairs, all together; between the "
    "floor of shuffled conditions and the ceiling of the true picture; by the condition's own "
    "extractor and by a judge that is another."
)

PICTURES, PAIRS, AGAIN = 64, 16, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_subject_arguments(parser, pictures=PICTURES, batch=16, beside=False)
    add = parser.add_argument
    add(
        "--pairs",
        type=int,
        default=PAIRS,
        metavar="K",
        help=f"pictures drawn from each pair of conditions, 0 for none; default: {PAIRS}",
    )
    add(
        "--again",
        type=int,
        default=AGAIN,
        metavar="K",
        help=f"pictures drawn twice from one value, to see what chance decides; default: {AGAIN}",
    )
    add("--blind", metavar="MODEL", help="draws the blind row; default: the same, given nothing")
    add(
        "--baseline",
        action="append",
        default=[],
        metavar="[LABEL=]MODEL",
        help="another model in the same tables, such as one of a single condition; may be repeated",
    )
    add(
        "--judge",
        action="append",
        default=[],
        metavar="NAME.ARG=VALUE",
        help="judge a condition by its plugin with another argument: sketch.edges=dexined; may be "
        "repeated",
    )
    add(
        "--features",
        default="tiny",
        metavar="SPEC",
        help="network of kernel distance, precision and recall: tiny, inception:PATH, ...; "
        "default: tiny, which compares only with itself",
    )
    add("--training", metavar="FOLDER", help="look for copies of the pictures of this folder")
    add("--training-scenes", type=int, metavar="N", help="look for copies of the first N scenes")
    add("--bfloat16", action="store_true", help="run the network in bfloat16, on a CPU too")
    add_recipe_arguments(parser)
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME.ARG=VALUE",
        help="extract with another argument than in training: sketch.edges=canny; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Draw, score, write the report and the numbers, say where they lie."""
    from dataclasses import replace

    from composer_pl.cli.output import check_output
    from composer_pl.cli.settings import parse_settings
    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.control.measure import ControlPlan, drawing_of, measure_control
    from composer_pl.evaluation.control.measurements import control_measurements
    from composer_pl.evaluation.control.report import control_parts
    from composer_pl.evaluation.control.results import lines_of, verdicts
    from composer_pl.evaluation.control.scorers import panel
    from composer_pl.evaluation.control.subjects import wanted_of
    from composer_pl.evaluation.metrics.features import feature_network
    from composer_pl.evaluation.scenes.judge import judge_digest, load_judge

    out = check_output(args.out)
    check_numbers(args, {"pairs": 0, "again": 0, "batch": 1})
    recipe = replace(recipe_from_options(args), max_batch=args.batch)
    composer = Composer.from_pretrained(
        args.ckpt,
        device=args.device,
        averaged=not args.raw_weights,
        settings=parse_settings(args.set),
    )
    network = feature_network(args.features, device=composer.device)
    extraction = composer.decomposer.extraction
    names = chosen_names(args.conditions, composer, doing="Measuring control")
    chosen_names(",".join(recipe.conditions), composer, doing="Reading the recipe")
    blind, blind_digest = blind_of(args, composer, recipe)
    baselines = baselines_of(args, composer, tuple(names), recipe)
    training = training_of(args, composer)
    samples = samples_of(args, composer)
    scenes = scenes_of(args, samples, composer)
    others, notes = others_of(args, composer, names, photos=scenes is None)
    wanted, lacking = wanted_of(
        samples, extraction, names, others=others, scenes=scenes, device=composer.device
    )
    notes = [*samples.notes, *lacking, *notes, *(each.note for each in baselines if each.note)]
    if args.root and scenes is not None and not args.split:
        notes.append(
            f"{args.root} is read without --data.split: its training scenes, if it has any."
        )
    if args.blind:
        notes.append(f"The pictures that know nothing are drawn by {args.blind}.")
    for note in notes:
        print(note, file=sys.stderr)
    judged = [other for other in others if other.key in wanted.judged]
    scorers = panel(extraction, list(wanted.values), scenes=scenes is not None, others=judged)
    baselines = [each.among(tuple(wanted.values)) for each in baselines]
    plan = ControlPlan(seed=args.seed, pairs=args.pairs, again=args.again, chunk=args.batch)
    control = measure_control(
        list(wanted.values),
        scorers,
        wanted,
        drawing_of(composer.model, recipe, bfloat16=args.bfloat16),
        plan,
        judge=None if scenes is None else load_judge(device=composer.device),
        blind=blind,
        rivals=[rival for baseline in baselines for rival in baseline.rivals()],
        progress=progress_line("pictures drawn"),
    )
    lines = lines_of(control)
    quality = _quality(control, network)
    copies = _copies(control, training)
    settings = _settings(args, composer, samples, recipe)
    if scenes is not None:
        settings["judge"] = judge_digest()
    parts = control_parts(
        control,
        lines,
        quality,
        texts=samples.batch["caption"],
        notes=notes,
        baselines=baselines,
        copies=copies,
        training=training,
    )
    features = network.describe()
    drawn = {
        "blind": blind_digest,
        "pairs": args.pairs,
        "again": args.again,
        "features": features,
        "judges": [other.key for other in judged],
        "baselines": {each.label: each.sha256 for each in baselines},
    }
    write_results(
        out,
        f"How {args.ckpt} obeys its conditions",
        parts,
        facts={**settings, **drawn},
        measurements=control_measurements(
            lines, quality, control, settings, baselines, blind=blind_digest, features=features
        ),
    )
    print(
        f"{out / 'report.html'}: {len(control.names)} conditions on {len(control)} pictures; "
        f"{verdicts(lines)[0]}"
    )
    return 0


def _quality(control: "Control", network: "PictureFeatures") -> "dict[str, Quality]":
    from composer_pl.evaluation.control.measure import TRUTH
    from composer_pl.evaluation.control.quality import quality_of

    true = control.pictures[TRUTH]
    return {
        arm: quality_of(pictures, true, features=network, again=control.again.get(arm))
        for arm, pictures in control.pictures.items()
        if arm != TRUTH and len(pictures) == len(true)
    }


def _copies(control: "Control", training: "Tensor | None") -> "dict[str, Copies]":
    from composer_pl.evaluation.control.copies import find_copies
    from composer_pl.evaluation.control.measure import NONE, TRUTH

    if training is None:
        return {}
    return {
        arm: find_copies(control.pictures[arm], control.pictures[TRUTH], training)
        for arm in (NONE, *control.names)
    }


def _settings(
    args: argparse.Namespace,
    composer: "Composer",
    samples: "Samples",
    recipe: "SamplingRecipe",
) -> dict[str, Any]:
    """What every number hangs on."""
    from composer_pl.cli.settings import identified, parse_settings
    from composer_pl.models.recipe import recipe_to_dict

    told = recipe_to_dict(recipe)
    context = {"batch": told.pop("max_batch")}
    return {
        **subject_settings(composer, composer.names, context),
        "data": samples.facts,
        "extraction": identified(parse_settings(args.set)),
        "recipe": told,
        "seed": args.seed,
        "bfloat16": args.bfloat16,
    }
