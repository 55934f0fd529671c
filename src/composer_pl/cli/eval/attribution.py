"""`composer-pl eval attribution`: what each condition is worth to the denoiser."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from composer_pl.cli.eval.frame import progress_line, subject_settings, write_results
from composer_pl.cli.eval.sample_options import (
    add_subject_arguments,
    check_numbers,
    chosen_names,
    load_subjects,
    samples_of,
    shared_names,
)

if TYPE_CHECKING:
    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.attribution.effects import AttributionPlan, Effects
    from composer_pl.evaluation.samples import Samples

HELP = (
    "Leave-one-out and Shapley effect of each condition on the denoising loss, by noise level, "
    "for any model and any of its conditions."
)
DOING = "Attributing the loss to conditions"
PICTURES = 16
ORDERS = 16
"""Sampled orders a picture where conditions are too many to ask every subset."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_subject_arguments(parser, pictures=PICTURES, batch=32)
    add = parser.add_argument
    add("--bands", type=int, default=4, help="equal bands of timesteps; default: 4")
    add("--draws", type=int, default=1, help="timesteps a band and picture; default: 1")
    add(
        "--orders",
        type=int,
        metavar="M",
        help="sample M orders of the conditions a picture instead of asking every subset; "
        f"default: {ORDERS} beyond eight conditions",
    )
    add("--plain-orders", action="store_true", help="do not pair each order with its reverse")


def run(args: argparse.Namespace) -> int:
    """Attribute, write the report and the numbers, say where they lie."""
    from composer_pl.cli.output import check_output
    from composer_pl.evaluation.attribution.reporting import (
        attribution_measurements,
        attribution_parts,
    )
    from composer_pl.evaluation.measurement import Measurement
    from composer_pl.evaluation.report import Part

    out = check_output(args.out)
    check_numbers(args, {"batch": 1})
    subjects = load_subjects(args)
    main = subjects[args.ckpt]
    names = chosen_names(args.conditions, main, doing=DOING)
    known = shared_names(subjects, names, doing=DOING)
    plans = {subject: _plan(args, shared) for subject, shared in known.items()}
    samples = samples_of(args, main)
    parts: list[Part] = [*samples.notes]
    measurements: list[Measurement] = []
    facts: dict[str, Any] = {}
    told = ""
    for subject, composer in subjects.items():
        effects, notes = _effects(composer, samples, known[subject], plans[subject], subject)
        settings = _settings(composer, samples, plans[subject], effects)
        timesteps = composer.model.process_config.num_timesteps
        label = subject if len(subjects) > 1 else ""
        parts += attribution_parts(effects, num_timesteps=timesteps, notes=notes, model=label)
        measurements += attribution_measurements(effects, settings, num_timesteps=timesteps)
        facts[subject] = settings
        told = told or _told(effects)
    title = f"What the conditions of {args.ckpt} are worth"
    write_results(out, title, parts, facts=facts, measurements=measurements)
    print(f"{out / 'report.html'}: {told}")
    return 0


def _plan(args: argparse.Namespace, names: list[str]) -> "AttributionPlan":
    from composer_pl.evaluation.attribution.effects import AttributionPlan
    from composer_pl.evaluation.attribution.shapley import EXACT_UP_TO

    many = len(names) > EXACT_UP_TO
    return AttributionPlan(
        bands=args.bands,
        draws=args.draws,
        orders=ORDERS if args.orders is None and many else args.orders,
        antithetic=not args.plain_orders,
        max_batch=args.batch,
    )


def _effects(
    composer: "Composer",
    samples: "Samples",
    names: list[str],
    plan: "AttributionPlan",
    subject: str,
) -> "tuple[Effects, list[str]]":
    """Effects of one model, and sentences on conditions that are left out."""
    from composer_pl.composing.mistakes import check_finite
    from composer_pl.evaluation.attribution.effects import attribute
    from composer_pl.evaluation.samples import extracted, model_extraction

    model = composer.model
    values, notes = extracted(model_extraction(model), samples, names, device=composer.device)
    for note in notes:
        print(note, file=sys.stderr)
    effects = attribute(
        model,
        samples.batch["image"],
        values,
        samples.batch["key"],
        plan,
        progress=progress_line(f"rows through {subject}"),
    )
    check_finite(effects.none, DOING)
    return effects, notes


def _settings(
    composer: "Composer", samples: "Samples", plan: "AttributionPlan", effects: "Effects"
) -> dict[str, Any]:
    from dataclasses import asdict

    asked = asdict(plan)
    context = {"max_batch": asked.pop("max_batch"), "forwards": effects.forwards}
    return {
        **subject_settings(composer, effects.names, context),
        "data": samples.facts,
        "conditions": list(effects.names),
        "plan": asked,
    }


def _told(effects: "Effects") -> str:
    means = effects.shapley.mean((1, 2)).tolist()
    best = effects.names[means.index(max(means))]
    how = "exactly" if effects.orders is None else f"from {effects.orders} orders a picture"
    return (
        f"effects of {len(effects.names)} conditions on {len(effects.none)} pictures, {how}; "
        f"{best} is worth most"
    )
