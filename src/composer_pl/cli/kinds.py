"""The kinds of models that `fit` trains and `plan` counts: a configuration names one as `kind`.

`kind` stands at the top of a configuration and is `base` where it is left out. It decides which
constructor the section `model` is held against, before anything is parsed, so that every kind gets
the same messages, overrides and help. Imports no torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from composer_pl.errors import ConfigError, nearest

if TYPE_CHECKING:
    from composer_pl.models.plan import Plan
    from composer_pl.systems.system import System

OPTION = "kind"
DEFAULT = "base"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Where the parts of a kind are, each as `module:name`.

    Attributes:
        system: The LightningModule, a subclass of `composer_pl.systems.system.System`.
        planner: `(model_section, costs) -> Plan`; see `composer_pl.cli.planners`.
    """

    system: str
    planner: str

    def load_system(self) -> "type[System]":
        """The LightningModule; imports torch."""
        return _load(self.system)

    def plan(self, section: dict[str, Any], costs: dict[str, Any]) -> "Plan":
        """Plan a run.

        Args:
            section: The section `model` of a parsed configuration, as plain data.
            costs: Keyword arguments that all planners share: `batch_size`, `tflops`, `ema`, `bf16`.
        """
        return _load(self.planner)(section, costs)


KINDS = {
    "base": Kind(
        system="composer_pl.systems.diffusion:DiffusionSystem",
        planner="composer_pl.cli.planners:plan_base",
    ),
    "upsampler": Kind(
        system="composer_pl.systems.upsampler:UpsamplerSystem",
        planner="composer_pl.cli.planners:plan_upsampler",
    ),
    "prior": Kind(
        system="composer_pl.systems.prior:PriorSystem",
        planner="composer_pl.cli.planners:plan_prior",
    ),
}
"""Kind -> its parts; the names are those of `composer_pl.models.description`."""


def kind_of_run(argv: Sequence[str]) -> str:
    """The kind that files and command line name; the last one counts, as for every option.

    Raises:
        ConfigError: There is no such kind.
    """
    from composer_pl.cli.given_keys import UnreadableError, given_keys

    try:
        given = [key for key in given_keys(argv) if key.name == OPTION]
    except UnreadableError:  # the parser comes upon it too, and says so
        return DEFAULT
    if not given:
        return DEFAULT
    value = str(given[-1].value)
    if value not in KINDS:
        raise ConfigError(
            f"Reading {OPTION} of {given[-1].origin}: expected one of {', '.join(KINDS)}, found "
            f"{value!r}{nearest(value, KINDS) or '.'} Next: correct it."
        )
    return value


def _load(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
