"""`composer-pl eval attribution`: what each condition is worth to the denoiser."""

import argparse
import sys

from composer_pl.cli.eval.sample_options import add_sample_arguments, chosen_names, samples_of

HELP = (
    "Leave-one-out and Shapley effect of each condition on the denoising loss, by noise level, "
    "for any model and any of its conditions."
)

PICTURES = 16
ORDERS = 16
"""Sampled orders a picture where conditions are too many to ask every subset."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add = parser.add_argument
    add("--ckpt", required=True, metavar="C", help="a shipped model, a model folder or .ckpt file")
    add("--out", required=True, metavar="DIR", help="folder for the report and its numbers")
    add("-n", type=int, default=PICTURES, help=f"how many pictures; default: {PICTURES}")
    add_sample_arguments(parser)
    add("--conditions", metavar="A,B", help="attribute to these alone; default: all of the model")
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
    add("--seed", type=int, default=0, help="of scenes, noise, timesteps and orders")
    add("--batch", type=int, default=32, help="rows through the network at once")
    add("--raw-weights", action="store_true", help="not the averaged ones")
    add("--device", default="cpu", help="cpu or cuda")


def run(args: argparse.Namespace) -> int:
    """Attribute, write the report and the numbers, say where they lie."""
    from dataclasses import asdict

    from composer_pl.cli.eval.compare import RESULTS
    from composer_pl.cli.eval.frame import progress_line
    from composer_pl.cli.output import check_output, writing
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.identity import machine_facts
    from composer_pl.composing.mistakes import check_finite
    from composer_pl.evaluation.attribution.effects import AttributionPlan, attribute
    from composer_pl.evaluation.attribution.reporting import (
        attribution_measurements,
        attribution_parts,
    )
    from composer_pl.evaluation.attribution.shapley import EXACT_UP_TO
    from composer_pl.evaluation.measurement import append_measurements
    from composer_pl.evaluation.report import write_report
    from composer_pl.evaluation.samples import extracted, model_extraction

    out = check_output(args.out)
    composer = Composer.from_pretrained(
        args.ckpt, device=args.device, averaged=not args.raw_weights
    )
    model = composer.model
    names = chosen_names(args.conditions, composer, doing="Attributing the loss to conditions")
    many = len(names) > EXACT_UP_TO
    plan = AttributionPlan(
        bands=args.bands,
        draws=args.draws,
        orders=ORDERS if args.orders is None and many else args.orders,
        antithetic=not args.plain_orders,
        max_batch=args.batch,
    )
    samples = samples_of(args, composer)
    values, notes = extracted(model_extraction(model), samples, names, device=composer.device)
    for note in (*samples.notes, *notes):
        print(note, file=sys.stderr)
    effects = attribute(
        model,
        samples.batch["image"],
        values,
        samples.batch["key"],
        plan,
        progress=progress_line("rows through the network"),
    )
    check_finite(effects.none, "Attributing the loss to conditions")
    machine = machine_facts(model.plugins, values, composer.device)
    settings = {
        "model": composer.identity["base"],
        "data": samples.facts,
        "conditions": list(values),
        "plan": {name: value for name, value in asdict(plan).items() if name != "max_batch"},
        "versions": machine.pop("versions"),
        "context": {**machine, "max_batch": plan.max_batch, "forwards": effects.forwards},
    }
    timesteps = model.process_config.num_timesteps
    parts = attribution_parts(effects, num_timesteps=timesteps, notes=[*samples.notes, *notes])
    with writing(out):
        write_report(out, f"What the conditions of {args.ckpt} are worth", parts, facts=settings)
        (out / RESULTS).unlink(missing_ok=True)  # as the report replaces an earlier one
        append_measurements(
            out / RESULTS, attribution_measurements(effects, settings, num_timesteps=timesteps)
        )
    best = max(values, key=lambda name: float(effects.shapley[list(values).index(name)].mean()))
    how = "exactly" if plan.orders is None else f"from {plan.orders} orders a picture"
    print(
        f"{out / 'report.html'}: effects of {len(values)} conditions on {len(samples)} pictures, "
        f"{how}; {best} is worth most"
    )
    return 0
