"""Arguments of conditions as a person gives them: held to the constructor before it is called."""

import inspect
from collections.abc import Mapping
from typing import Any

from composer_pl.composing.mistakes import UnknownToModelError
from composer_pl.errors import ComposerPLError, UserInputError, nearest
from composer_pl.plugin.api import ConditionPlugin


def configured(
    name: str, plugin_class: type[ConditionPlugin], arguments: Mapping[str, Any]
) -> ConditionPlugin:
    """Build a condition from arguments that may be wrong.

    Raises:
        UserInputError: An argument is unknown or of the wrong type.
    """
    known = list(inspect.signature(plugin_class.__init__).parameters.values())[1:]
    kinds = {parameter.name: parameter.annotation for parameter in known}
    for argument in arguments:
        if argument not in kinds:
            raise UserInputError(
                f"Setting the condition {name!r}: no argument {argument!r} among "
                f"{', '.join(kinds) or 'none'}{nearest(argument, kinds) or '.'} "
                f"Next: correct the argument."
            )
    try:
        return plugin_class(**_typed(name, plugin_class, arguments, kinds))
    except ComposerPLError:
        raise
    except (TypeError, ValueError) as error:
        raise UserInputError(
            f"Setting the condition {name!r}: its arguments do not fit ({error}). "
            f"Next: correct them; `composer-pl plugins show {name}` lists them."
        ) from error


def reconfigured(
    plugins: Mapping[str, ConditionPlugin], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, ConditionPlugin]:
    """Conditions of a model with other arguments for extraction: another extractor, other weights.

    Raises:
        UnknownToModelError: A setting names a condition that is not there.
        UserInputError: An argument is wrong, or changes what the model was trained with.
    """
    changed = dict(plugins)
    for name, arguments in settings.items():
        if name not in plugins:
            raise UnknownToModelError(name, plugins, doing="Setting arguments of conditions")
        before = plugins[name]
        after = configured(name, type(before), {**before.config(), **arguments})
        if after.spec != before.spec:
            raise UserInputError(
                f"Setting the condition {name!r}: the model was trained with values of "
                f"{before.spec}, found {after.spec}. Next: leave {', '.join(arguments)} as it is."
            )
        changed[name] = after
    return changed


def _typed(
    name: str,
    plugin_class: type[ConditionPlugin],
    arguments: Mapping[str, Any],
    kinds: Mapping[str, Any],
) -> dict[str, Any]:
    """Bring each argument to the type that the constructor states, as `fit` does."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(plugin_class)
    typed = {}
    for argument, value in arguments.items():
        try:
            typed[argument] = parser.parse_object({argument: value}, defaults=False)[argument]
        except (ArgumentError, TypeError, ValueError) as error:
            raise UserInputError(
                f"Setting the condition {name!r}: {argument} must be "
                f"{inspect.formatannotation(kinds[argument])}, found {value!r}. "
                f"Next: correct the value."
            ) from error
    return typed
