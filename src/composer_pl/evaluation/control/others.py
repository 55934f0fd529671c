"""Other extractors of a condition as judges: another edge detector, another CLIP.

A plugin that can use several networks names them in an argument of a `Literal` type; every other
choice whose weights are here is a judge that the model was not conditioned with. So a stranger's
plugin gets such judges as the shipped ones do.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from composer_pl.conditions.extraction import Extraction
from composer_pl.errors import ComposerPLError, ConfigError
from composer_pl.plugin.api import ConditionPlugin

_SCENES = "scenes"
"""In the name of a network that knows nothing but scenes, which is no judge of photos."""


@dataclass(frozen=True, kw_only=True)
class Other:
    """Another extractor of a condition, built and ready.

    Attributes:
        condition: Name in the model.
        key: `condition:argument=choice`.
        extraction: Holds the other plugin under that name.
        independent: Whether it is another network, or another method, and not the model's own one
            with a number changed.
    """

    condition: str
    key: str
    extraction: Extraction
    independent: bool = True


def choices(plugin: ConditionPlugin) -> list[tuple[str, str]]:
    """Arguments and choices that name another network than the plugin uses."""
    if not plugin.weights:
        return []
    try:
        hints = get_type_hints(type(plugin).__init__)
    except Exception:  # a stranger's annotations may name what is imported for type checkers alone
        return []
    return [
        (argument, choice)
        for argument, present in plugin.config().items()
        if get_origin(hints.get(argument)) is Literal
        for choice in get_args(hints[argument])
        if choice != present and isinstance(choice, str)
    ]


def found_others(
    plugins: Mapping[str, ConditionPlugin], value_size: tuple[int, int]
) -> tuple[list[Other], dict[str, list[str]]]:
    """Judges of photos that can be built on this machine.

    Args:
        plugins: The model's conditions by name.
        value_size: Height and width of local values.

    Returns:
        The judges, and for each condition the choices that lack weights or a library.
    """
    others: list[Other] = []
    missing: dict[str, list[str]] = {}
    for name, plugin in plugins.items():
        for argument, choice in choices(plugin):
            if _SCENES in choice:
                continue
            try:
                others.append(other_of(name, plugin, {argument: choice}, value_size))
            except ComposerPLError:
                missing.setdefault(name, []).append(f"{argument}={choice}")
    return others, missing


def other_of(
    name: str,
    plugin: ConditionPlugin,
    arguments: Mapping[str, Any],
    value_size: tuple[int, int],
) -> Other:
    """A judge of the same class with other arguments; what is not named takes its default.

    What has no default is as the model has it.

    Args:
        name: The condition.
        plugin: As the model has it.
        arguments: Of the judge.
        value_size: Height and width of local values.

    Raises:
        ComposerPLError: It cannot be built: an argument is wrong, or weights or a library absent.
    """
    # Of a file its name: where it lies is of one machine.
    shown = {
        n: Path(v).name if isinstance(v, str) and "/" in v else v for n, v in arguments.items()
    }
    told = ", ".join(f"{argument}={value}" for argument, value in shown.items())
    own = plugin.config()
    try:
        other = type(plugin)(**{**{n: own[n] for n in _required(plugin)}, **arguments})
    except TypeError as error:
        raise ConfigError(
            f"Building a judge of {name!r} with {told}: expected arguments of "
            f"{type(plugin).__name__} ({', '.join(own)}), found: {error}. "
            f"Next: correct the argument."
        ) from error
    changed = {n: (own[n], value) for n, value in other.config().items() if value != own[n]}
    changed.pop("drop_prob", None)
    if not changed:
        raise ConfigError(
            f"Building a judge of {name!r} with {told}: expected another extractor than the "
            f"model's, found the same. Next: give another choice."
        )
    extraction = Extraction({name: other}, value_size=value_size)
    extraction.extractor(name, torch.device("cpu"))  # what is missing shows now
    # A text names a network, a method or a file; a number tunes the one that the model has.
    independent = any(isinstance(value, str) for values in changed.values() for value in values)
    return Other(
        condition=name, key=f"{name}:{told}", extraction=extraction, independent=independent
    )


def _required(plugin: ConditionPlugin) -> list[str]:
    """Arguments of a plugin that have no default."""
    parameters = inspect.signature(type(plugin)).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
