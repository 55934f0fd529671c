"""`composer-pl plan`: parameters, memory, FLOPs and dropout events of a configuration."""

import argparse
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from composer_pl.errors import UserInputError

if TYPE_CHECKING:
    from composer_pl.backbones.unet import UNetConfig
    from composer_pl.conditions.dropout import DropoutPolicy
    from composer_pl.diffusion.process import ProcessConfig
    from composer_pl.plugin.api import ConditionPlugin

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
    from composer_pl.conditions.dropout import expected_keep_rates
    from composer_pl.models.base import ComposerModel
    from composer_pl.models.plan import SUSTAINED_TFLOPS, DropoutEvents, make_plan

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
    backbone, process, conditions, policy = _settings(config["model"].as_dict())
    rates = expected_keep_rates(policy, [plugin.drop_prob for plugin in conditions.values()])
    joint = policy.rule != "uniform-size"  # that rule has no joint events of its own
    plan = make_plan(
        lambda: ComposerModel(backbone, process, conditions),
        specs={name: plugin.spec for name, plugin in conditions.items()},
        dropout=DropoutEvents(
            keep_rates=dict(zip(conditions, rates, strict=True)),
            p_drop_all=policy.p_drop_all if joint else 0.0,
            p_keep_all=policy.p_keep_all if joint else 0.0,
        ),
        batch_size=config["data"]["batch_size"],
        tflops=args.tflops or SUSTAINED_TFLOPS,
        ema=config["ema"]["use"],
        bf16="bf16" in str(config["trainer"]["precision"]),
    )
    print(json.dumps(plan.to_dict(), indent=1) if args.json else plan.table())
    return 0


def _settings(
    section: dict[str, Any],
) -> "tuple[UNetConfig, ProcessConfig, dict[str, ConditionPlugin], DropoutPolicy]":
    """Build the small objects of the model section, and nothing large.

    Class paths were held against the allowed packages when the configuration was parsed.
    """
    from composer_pl.backbones.unet import UNetConfig
    from composer_pl.conditions.dropout import DropoutPolicy
    from composer_pl.diffusion.process import ProcessConfig

    conditions = {}
    for name, entry in section["conditions"].items():
        if not name.startswith("__"):  # the parser notes the file of a mapping there
            module, _, plugin_class = entry["class_path"].rpartition(".")
            build = getattr(import_module(module), plugin_class)
            conditions[name] = build(**(entry.get("init_args") or {}))
    return (
        UNetConfig(**section["backbone"]),
        ProcessConfig(**section["process"]),
        conditions,
        DropoutPolicy(**section["dropout"]),
    )
