"""Conditions from command-line options: names, and `NAME.ARG=VALUE` settings."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from composer_pl.errors import UserInputError, nearest

if TYPE_CHECKING:
    from composer_pl.plugin.api import ConditionPlugin


def conditions_from_options(
    names: Sequence[str], settings: Sequence[str]
) -> "dict[str, ConditionPlugin]":
    """Build the named conditions, or all installed ones, with the given settings.

    Args:
        names: Condition names; empty means every installed one.
        settings: Texts of the form `NAME.ARG=VALUE`; the value is read as YAML.

    Raises:
        UnknownConditionError: No package provides a name.
        UserInputError: A setting is malformed or names an unknown argument.
    """
    from composer_pl.conditions.discovery import discover, load

    chosen = list(names) or sorted(discover())
    arguments: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for text in settings:
        target, equals, value = text.partition("=")
        name, dot, argument = target.partition(".")
        if not (equals and dot):
            raise UserInputError(
                f"Reading --set {text!r}: expected NAME.ARG=VALUE, such as sketch.edges=canny. "
                f"Next: correct it."
            )
        if name not in arguments:
            raise UserInputError(
                f"Reading --set {text!r}: no condition {name!r} among {', '.join(chosen)}"
                f"{nearest(name, chosen)} Next: correct the name."
            )
        arguments[name][argument] = yaml.safe_load(value)
    return {name: _build(name, load(name), arguments[name]) for name in chosen}


def _build(
    name: str, plugin: "type[ConditionPlugin]", arguments: dict[str, Any]
) -> "ConditionPlugin":
    known = list(inspect.signature(plugin.__init__).parameters)[1:]
    for argument in arguments:
        if argument not in known:
            raise UserInputError(
                f"Setting the condition {name!r}: no argument {argument!r} among "
                f"{', '.join(known)}{nearest(argument, known)} Next: correct --set."
            )
    return plugin(**arguments)
