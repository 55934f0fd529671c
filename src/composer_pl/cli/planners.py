"""What `plan` builds for each kind of model: the small objects of a configuration, and its plan.

A planner takes the section `model` as plain data and `costs`, the keyword arguments that all share:
`batch_size`, `tflops`, `ema` and `bf16`. Class paths were held against the allowed packages when
the configuration was parsed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from composer_pl.backbones.prior_transformer import PriorConfig
    from composer_pl.backbones.unet import UNetConfig
    from composer_pl.conditions.dropout import DropoutPolicy
    from composer_pl.diffusion.process import ProcessConfig
    from composer_pl.models.plan import Plan
    from composer_pl.models.upsampler import UpsamplingConfig
    from composer_pl.plugin.api import ConditionPlugin


def base_settings(
    section: dict[str, Any],
) -> "tuple[UNetConfig, ProcessConfig, dict[str, ConditionPlugin], DropoutPolicy]":
    """The small objects of a base model, and nothing large."""
    from composer_pl.backbones.unet import UNetConfig
    from composer_pl.conditions.dropout import DropoutPolicy
    from composer_pl.diffusion.process import ProcessConfig

    return (
        UNetConfig(**section["backbone"]),
        ProcessConfig(**section["process"]),
        _conditions(section),
        DropoutPolicy(**section["dropout"]),
    )


def plan_base(section: dict[str, Any], costs: dict[str, Any]) -> "Plan":
    """Plan a base model, all conditions present."""
    from composer_pl.conditions.dropout import expected_keep_rates
    from composer_pl.models.base import ComposerModel
    from composer_pl.models.plan import DropoutEvents, make_plan

    backbone, process, conditions, policy = base_settings(section)
    rates = expected_keep_rates(policy, [plugin.drop_prob for plugin in conditions.values()])
    joint = policy.rule != "uniform-size"  # that rule has no joint events of its own
    return make_plan(
        lambda: ComposerModel(backbone, process, conditions),
        specs={name: plugin.spec for name, plugin in conditions.items()},
        dropout=DropoutEvents(
            keep_rates=dict(zip(conditions, rates, strict=True)),
            p_drop_all=policy.p_drop_all if joint else 0.0,
            p_keep_all=policy.p_keep_all if joint else 0.0,
        ),
        **costs,
    )


def upsampler_settings(
    section: dict[str, Any],
) -> "tuple[UNetConfig, ProcessConfig, UpsamplingConfig]":
    """The small objects of an upsampler."""
    from composer_pl.backbones.unet import UNetConfig
    from composer_pl.diffusion.process import ProcessConfig
    from composer_pl.models.upsampler import UpsamplingConfig

    return (
        UNetConfig(**section["backbone"]),
        ProcessConfig(**section["process"]),
        UpsamplingConfig(**section["upsampling"]),
    )


def plan_upsampler(section: dict[str, Any], costs: dict[str, Any]) -> "Plan":
    """Plan an upsampler, on the crops that it is trained on."""
    from composer_pl.models.plan import make_plan
    from composer_pl.models.upsampler import UpsamplerModel

    backbone, process, upsampling = upsampler_settings(section)
    return make_plan(
        lambda: UpsamplerModel(backbone, process, {}, upsampling),
        specs={},
        dropout=None,
        side=backbone.trained_side or backbone.resolution,
        rest="noise level",
        **costs,
    )


def prior_settings(
    section: dict[str, Any],
) -> "tuple[PriorConfig, ProcessConfig, dict[str, ConditionPlugin]]":
    """The small objects of a prior."""
    from composer_pl.backbones.prior_transformer import PriorConfig
    from composer_pl.diffusion.process import ProcessConfig

    return (
        PriorConfig(**section["backbone"]),
        ProcessConfig(**section["process"]),
        _conditions(section),
    )


def plan_prior(section: dict[str, Any], costs: dict[str, Any]) -> "Plan":
    """Plan a prior on captions of the greatest length; its frozen extractors are not counted."""
    import torch

    from composer_pl.models.footprint import measure_prior
    from composer_pl.models.plan import assemble_plan
    from composer_pl.models.prior import PriorModel

    backbone, process, conditions = prior_settings(section)
    names = {name: section[name] for name in ("text", "image")}
    with torch.device("meta"):
        model = PriorModel(backbone, process, conditions, **names)
    bf16, draws = costs.get("bf16", True), section["draws"]
    work = measure_prior(model.backbone, bf16=bf16, draws=draws)
    transformer = {"transformer": model.backbone}
    return assemble_plan(model, transformer, work, resolution=0, dropout=None, **costs)


def _conditions(section: dict[str, Any]) -> "dict[str, ConditionPlugin]":
    conditions = {}
    for name, entry in section["conditions"].items():
        if not name.startswith("__"):  # the parser notes the file of a mapping there
            module, _, plugin_class = entry["class_path"].rpartition(".")
            build = getattr(import_module(module), plugin_class)
            conditions[name] = build(**(entry.get("init_args") or {}))
    return conditions
