"""`composer-pl eval composition`: do parts of two pictures go together, and which one wins?"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from composer_pl.cli.eval.frame import progress_line, subject_settings, write_results
from composer_pl.cli.eval.sample_options import (
    add_subject_arguments,
    check_numbers,
    chosen_names,
    load_subjects,
    samples_of,
    scenes_of,
    shared_names,
)
from composer_pl.cli.recipe_options import add_recipe_arguments, recipe_from_options
from composer_pl.errors import UserInputError, nearest

if TYPE_CHECKING:
    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.composition.crossing import Pair
    from composer_pl.evaluation.composition.pair_sets import Judged
    from composer_pl.evaluation.measurement import Measurement
    from composer_pl.evaluation.report import Part
    from composer_pl.evaluation.samples import Samples
    from composer_pl.evaluation.scenes.judge import Judge
    from composer_pl.models.recipe import SamplingRecipe

HELP = (
    "Conditions of two pictures, compatible and conflicting: what is kept of each, and which one "
    "wins, for any two conditions of any model; on scenes also pairs of colour and shape that the "
    "shipped models never saw."
)
DOING = "Evaluating composition"
PICTURES = 8
DEFAULT_SETS = "caption,two pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_subject_arguments(parser, pictures=PICTURES, batch=16)
    add_recipe_arguments(parser)
    add = parser.add_argument
    add("--pairs", metavar="A+B,C+D", help="cross these two and two; default: every two")
    add(
        "--sets",
        default=DEFAULT_SETS,
        help="sets of held-out pairs to draw of scenes: caption, two objects, two pictures, "
        f"caption and depth, or none; default: {DEFAULT_SETS}",
    )
    add("--each", type=int, default=1, help="scenes of every pair in these sets; default: 1")


@dataclass(kw_only=True)
class _Found:
    """What goes into the report."""

    parts: "list[Part]" = field(default_factory=list)
    measurements: "list[Measurement]" = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def run(args: argparse.Namespace) -> int:
    """Draw, score, write the report and the numbers, say where they lie."""
    from dataclasses import replace

    from composer_pl.cli.output import check_output
    from composer_pl.evaluation.scenes.judge import load_judge

    out = check_output(args.out)
    check_numbers(args, {"batch": 1, "each": 1})
    recipe = replace(recipe_from_options(args), max_batch=args.batch)
    sets = _wanted_sets(args)
    subjects = load_subjects(args)
    main = next(iter(subjects.values()))
    names = chosen_names(args.conditions, main, doing=DOING)
    chosen_names(",".join(recipe.conditions), main, doing="Reading the recipe")
    known = shared_names(subjects, names, doing=DOING)
    pairs = _wanted_pairs(args.pairs, main)
    samples = samples_of(args, main)
    samples = replace(samples, scenes=scenes_of(args, samples, main) or [])
    judge = load_judge(device=args.device) if samples.scenes else None
    found = _Found()
    _cross(args, subjects, samples, known, pairs, recipe, judge, found)
    for name in sets:
        if judge is not None:
            _judge_set(args, subjects, name, recipe, judge, found)
    facts = {name: _settings(args, composer, recipe) for name, composer in subjects.items()}
    title = f"What {args.ckpt} makes of two pictures"
    write_results(out, title, found.parts, facts=facts, measurements=found.measurements)
    print(f"{out / 'report.html'}: {'; '.join(found.told)}")
    return 0


def _cross(
    args: argparse.Namespace,
    subjects: "Mapping[str, Composer]",
    samples: "Samples",
    known: Mapping[str, Sequence[str]],
    pairs: "Sequence[Pair] | None",
    recipe: "SamplingRecipe",
    judge: "Judge | None",
    found: _Found,
) -> None:
    """Conditions of two pictures, for every model."""
    from composer_pl.evaluation.composition.experiment import cross
    from composer_pl.evaluation.composition.reporting import (
        ABOUT,
        crossing_measurements,
        crossing_parts,
        crossing_sheet,
        verdict,
    )

    found.parts += [ABOUT, *samples.notes]
    several = len(subjects) > 1
    for subject, composer in subjects.items():
        main = subject == args.ckpt
        crossed = cross(
            composer.model,
            samples,
            known[subject],
            recipe,
            pairs=pairs,
            seed=args.seed,
            judge=judge,
            lonely=not main,
            progress=progress_line(f"pictures of {subject}"),
        )
        for note in crossed.notes:
            print(note, file=sys.stderr)
        label = subject if several else ""
        if several:
            found.parts.append(f"## {subject}")
        found.parts += crossed.notes
        found.parts += crossing_parts(crossed.scores, judges=crossed.judges, model=label)
        if crossed.pictures.pairs:
            found.parts.append(crossing_sheet(crossed.pictures))
        settings = {
            **_settings(args, composer, recipe),
            "data": samples.facts,
            "conditions": crossed.conditions,
            "judges": crossed.judges,
        }
        found.measurements += crossing_measurements(crossed.scores, settings)
        if main:
            found.told.append(verdict(crossed.scores))


def _judge_set(
    args: argparse.Namespace,
    subjects: "Mapping[str, Composer]",
    name: str,
    recipe: "SamplingRecipe",
    judge: "Judge",
    found: _Found,
) -> None:
    """Held-out and seen pairs of colour and shape, for every model that has the conditions."""
    from composer_pl.evaluation.composition.pair_reporting import (
        ABOUT_PAIRS,
        pair_measurements,
        pair_parts,
    )
    from composer_pl.evaluation.composition.pair_sets import (
        judge_set,
        make_pair_set,
        merged,
        possible_sets,
    )
    from composer_pl.evaluation.samples import model_extraction

    able = {s: c for s, c in subjects.items() if name in possible_sets(c.names)}
    if not able:
        found.parts.append(f"The set {name!r} is left out: no model has the conditions of it.")
        return
    asked = make_pair_set(name, each=args.each, seed=args.seed, device=args.device)
    runs: list[Judged] = []
    for subject, composer in able.items():
        runs.append(
            judge_set(
                asked,
                {subject: composer.model},
                model_extraction(composer.model),
                judge,
                recipe,
                seed=args.seed,
                blind=subject if subject == args.ckpt else "",
                progress=progress_line(f"pictures of {subject}, set {name}"),
            )
        )
    judged = merged(runs)
    if ABOUT_PAIRS not in found.parts:
        found.parts.append(ABOUT_PAIRS)
    found.parts += pair_parts(judged)
    data = {"set": name, "each": args.each}
    for subject, composer in able.items():
        settings = {**_settings(args, composer, recipe), "data": data}
        found.measurements += pair_measurements(judged, subject, settings)


def _settings(
    args: argparse.Namespace, composer: "Composer", recipe: "SamplingRecipe"
) -> dict[str, Any]:
    from composer_pl.evaluation.scenes.judge import judge_digest
    from composer_pl.models.recipe import recipe_to_dict

    sampling = recipe_to_dict(recipe)
    context = {"max_batch": sampling.pop("max_batch")}
    return {
        **subject_settings(composer, composer.names, context),
        "recipe": sampling,
        "seed": args.seed,
        "judge": judge_digest(),
    }


def _wanted_sets(args: argparse.Namespace) -> list[str]:
    """Names of sets; none where pictures are of a folder, unless they were asked for."""
    from composer_pl.evaluation.composition.pair_sets import NEEDED

    names = [name.strip() for name in args.sets.split(",") if name.strip()]
    if names == ["none"]:
        return []
    for name in names:
        if name not in NEEDED:
            raise UserInputError(
                f"{DOING}: expected sets of {', '.join(NEEDED)}, or none, found {name!r}"
                f"{nearest(name, NEEDED) or '.'} Next: correct --sets."
            )
    if args.root and args.sets != DEFAULT_SETS:
        raise UserInputError(
            f"{DOING}: the sets are of scenes, found --data.root {args.root}. "
            f"Next: leave --sets or --data.root out."
        )
    return [] if args.root else names


def _wanted_pairs(text: str | None, composer: "Composer") -> "list[Pair] | None":
    """Read `A+B,C+D`; nothing is None."""
    if not text:
        return None
    pairs: list[Pair] = []
    for entry in text.split(","):
        found = [name.strip() for name in entry.split("+")]
        if len(found) != 2 or not all(found) or found[0] == found[1]:
            raise UserInputError(
                f"{DOING}: expected two conditions such as sketch+color, found {entry!r}. "
                f"Next: correct --pairs."
            )
        first, second = chosen_names(",".join(found), composer, doing=DOING)
        pairs.append((first, second))
    return list(dict.fromkeys(pairs))
