"""`composer-pl plan`: parameters, memory, FLOPs and dropout events of a configuration."""

import argparse
import json

from composer_pl.errors import UserInputError

HELP = "Parameters, memory, FLOPs a step and dropout events of a configuration; allocates nothing."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--config", action="append", default=[], help="YAML as for fit; may be repeated; required"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument(
        "--tflops",
        type=float,
        default=0.0,
        help="sustained rate assumed for the speed; default: half of one H200's measured matmul",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a value, such as model.backbone.channels=64; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Parse the configuration, build its model on the meta device, print the plan.

    Raises:
        UserInputError: There is no `--config`, or a `--set` without its value.
    """
    from composer_pl.cli.fit import configured
    from composer_pl.cli.kinds import KINDS, OPTION
    from composer_pl.models.plan import SUSTAINED_TFLOPS

    if not args.config:  # asked here, where a misspelt --config has been named already
        raise UserInputError(
            "Planning a run: expected --config FILE, found none. "
            "Next: `composer-pl plan --config configs/base.yaml`."
        )
    argv = [word for file in args.config for word in ("--config", file)]
    for text in args.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserInputError(
                f"Reading --set {text!r}: expected KEY=VALUE, such as model.backbone.channels=64. "
                f"Next: correct it."
            )
        argv += [f"--{key}", value]
    config = configured(argv, prog="composer-pl plan").config
    plan = KINDS[config[OPTION]].plan(
        config["model"].as_dict(),
        {
            "batch_size": config["data"]["batch_size"],
            "tflops": args.tflops or SUSTAINED_TFLOPS,
            "ema": config["ema"]["use"],
            "bf16": "bf16" in str(config["trainer"]["precision"]),
        },
    )
    print(json.dumps(plan.to_dict(), indent=1) if args.json else plan.table())
    return 0
