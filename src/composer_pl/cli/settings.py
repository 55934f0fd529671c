"""Conditions from command-line options: names, and `NAME.ARG=VALUE` settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from composer_pl.errors import UserInputError, nearest

if TYPE_CHECKING:
    from composer_pl.plugin.api import ConditionPlugin

NOTHING = "none"
"""What options that choose parts take instead of names, to choose no part."""


def parse_names(text: str) -> list[str]:
    """Split `a,b` into names, each once; blanks do not count."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def parse_chosen(text: str | None, option: str) -> list[str] | None:
    """Names of parts that an option such as `--keep` chooses.

    Args:
        text: `a,b`, or `none` for no part; None where the option is not given.
        option: Its name, for the message.

    Returns:
        The names, none of them for `none`; None where the option is not given.

    Raises:
        UserInputError: There is no name, or one beside `none`.
    """
    names = None if text is None else parse_names(text)
    if names is None or names == [NOTHING]:
        return None if names is None else []
    if NOTHING in names or not names:
        raise UserInputError(
            f"Reading {option} {text!r}: expected names of parts, such as sketch,color, or "
            f"{NOTHING} alone for no part, found {' and '.join(names) or 'no name'}. Next: write "
            f"either, or leave {option} out."
        )
    return names


def parse_settings(texts: Sequence[str], option: str = "--set") -> dict[str, dict[str, Any]]:
    """Read texts of the form `NAME.ARG=VALUE`; the value is read as YAML, plain data only.

    Args:
        texts: The texts.
        option: Where they were given, for the message.

    Raises:
        UserInputError: A text is malformed.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        name, dot, argument = target.partition(".")
        if not (equals and dot):
            raise UserInputError(
                f"Reading {option} {text!r}: expected NAME.ARG=VALUE, such as sketch.edges=canny. "
                f"Next: correct it."
            )
        try:
            settings.setdefault(name, {})[argument] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserInputError(
                f"Reading {option} {text!r}: expected a plain value as in YAML, such as 3, canny "
                f"or [1, 2], found {value!r}. Next: correct it."
            ) from error
    return settings


def identified(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same settings with files by name and digest, as a record of a number tells them.

    A path is another on each machine, and says nothing of what the file holds.

    Args:
        settings: As `parse_settings` reads them.
    """
    return {
        name: {argument: _identified(value) for argument, value in arguments.items()}
        for name, arguments in settings.items()
    }


def _identified(value: Any) -> Any:
    from composer_pl.plugin.digests import file_digest

    path = Path(value).expanduser() if isinstance(value, str) and value else None
    if path is None or not path.is_file():
        return value
    return f"{path.name}, sha256 {file_digest(path)}"


def conditions_from_options(
    names: Sequence[str], settings: Sequence[str]
) -> "dict[str, ConditionPlugin]":
    """Build the named conditions, or all installed ones, with the given settings.

    Args:
        names: Condition names; empty means every installed one.
        settings: Texts of the form `NAME.ARG=VALUE`; the value is read as YAML.

    Raises:
        UnknownConditionError: No package provides a name.
        UserInputError: A setting is malformed, or names an unknown argument or condition.
    """
    from composer_pl.composing.settings import configured
    from composer_pl.conditions.discovery import discover, load

    chosen = list(names) or sorted(discover())
    classes = {name: load(name) for name in chosen}
    arguments = parse_settings(settings)
    for name in arguments:
        if name not in classes:
            raise UserInputError(
                f"Reading --set {name}: no condition {name!r} among {', '.join(chosen)}"
                f"{nearest(name, chosen) or '.'} Next: correct the name."
            )
    return {name: configured(name, classes[name], arguments.get(name, {})) for name in chosen}
