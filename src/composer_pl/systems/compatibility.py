"""Whether a checkpoint belongs to the configured model, told before any weight is loaded."""

from dataclasses import asdict
from typing import Any

from composer_pl.backbones.prior_transformer import PriorConfig
from composer_pl.backbones.unet import UNetConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError
from composer_pl.models.description import kind_of, named, plain
from composer_pl.models.upsampling_config import UpsamplingConfig

_SETTINGS = {"backbone": UNetConfig, "process": ProcessConfig, "upsampling": UpsamplingConfig}
"""Parts of a description whose settings have defaults that mean what was done before them."""


def refuse_other_model(expected: dict[str, Any], found: Any) -> None:
    """Hold the description in a checkpoint against the configured model's.

    Args:
        expected: `describe()` of the configured model.
        found: What the checkpoint holds in its place.

    Raises:
        CheckpointError: The checkpoint holds no description, or that of another model.
    """
    if not isinstance(found, dict):
        raise CheckpointError(
            "Loading a checkpoint: one that composer-pl fit wrote was expected, found no model "
            "description in it. Next: give another --ckpt_path."
        )
    if kind_of(found) != kind_of(expected):
        raise CheckpointError(
            f"Loading a checkpoint: {named(kind_of(expected))} was expected, as configured, found "
            f"{named(kind_of(found))}. Next: use the config.yaml of the run that wrote it."
        )
    for part in expected:
        if part in ("format", "kind"):
            continue
        difference = first_difference(lasting(expected[part]), lasting(_filled(part, found)))
        if difference is not None:
            raise CheckpointError(
                f"Loading a checkpoint: it does not fit the configuration, model.{part}"
                f"{difference}. Next: use the config.yaml of the run that wrote it."
            )
    # The rows of `Conditioner.presence` go by this order, which the names of weights do not show.
    ours, theirs = list(expected.get("conditions", ())), list(found.get("conditions", ()))
    if ours != theirs:
        raise CheckpointError(
            f"Loading a checkpoint: model.conditions were expected in the order of the "
            f"configuration ({', '.join(ours)}), found {', '.join(theirs)}. "
            f"Next: list them as the config.yaml of the run that wrote it does."
        )


def _filled(part: str, found: dict[str, Any]) -> Any:
    """A part of a description, with the defaults of settings that are younger than it."""
    values, cls = found.get(part), _SETTINGS.get(part)
    if part == "backbone" and kind_of(found) == "prior":
        cls = PriorConfig
    if cls is None or not isinstance(values, dict):
        return values
    return {**plain(asdict(cls())), **values}


def first_difference(expected: Any, found: Any, path: str = "") -> str | None:
    """Say where two plain-data descriptions first differ; package versions may differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            if key in ("version", "distribution"):
                continue
            if key not in expected or key not in found:
                where = "the checkpoint" if key in expected else "the configuration"
                return f"{path}.{key} is missing in {where}"
            difference = first_difference(expected[key], found[key], f"{path}.{key}")
            if difference is not None:
                return difference
        return None
    return None if expected == found else f"{path} is {expected!r}, in the checkpoint {found!r}"


def lasting(settings: Any) -> Any:
    """Settings without what may change between two runs of one model.

    How often a condition is dropped, where its weights lie, the version of its package, and how
    timesteps are weighted: none of these changes what the network's output means.
    """
    if not isinstance(settings, dict):
        return settings
    return {
        key: lasting(value)
        for key, value in settings.items()
        if key not in ("drop_prob", "version", "min_snr_gamma") and not key.endswith("_file")
    }
