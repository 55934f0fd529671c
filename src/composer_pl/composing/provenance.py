"""How a value was extracted, and whether a model can take it.

Two CLIPs give vectors of one length that mean different things, so shapes alone do not tell that a
part is of another model's kind. A part carries the settings of its plugin and the facts that the
conditions of one model must share (`ConditionPlugin.agreement`).
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from composer_pl.composing.parts import Parts
from composer_pl.errors import RepresentationError
from composer_pl.plugin.api import ConditionPlugin


def facts_of(plugin: ConditionPlugin) -> dict[str, Any]:
    """What is recorded beside a value: `settings`, and `agreement` as of what was just read."""
    return {"settings": plugin.config(), "agreement": plugin.agreement()}


def refuse_strangers(
    parts: Parts, trained: Mapping[str, ConditionPlugin], used: Mapping[str, ConditionPlugin]
) -> None:
    """Refuse parts whose recorded facts contradict those of a model.

    A part without a record, from an older file or made by hand, is taken on trust.

    Args:
        parts: Values with their records.
        trained: The conditions as the model was trained.
        used: The same conditions as they extract here, perhaps with another file of weights.

    Raises:
        RepresentationError: A part was extracted with something else.
    """
    for name in parts:
        found = parts.facts.get(name, {}).get("agreement")
        if not isinstance(found, Mapping) or name not in trained:
            continue
        accepted = [_known(plugins[name]) for plugins in (trained, used) if name in plugins]
        for fact, value in found.items():
            wanted = [facts[fact] for facts in accepted if fact in facts]
            if wanted and value not in wanted:
                raise RepresentationError(
                    f"Composing a picture from the condition {name!r}: expected a part extracted "
                    f"with {fact} {wanted[0]}, as the model was trained, found one extracted with "
                    f"{fact} {value}. Next: extract the part again with this model."
                )


def _known(plugin: ConditionPlugin) -> dict[str, str]:
    """The facts of a plugin that say something on this machine.

    Where a file of weights is not there, as on a machine that only samples, its path stands for
    what it would tell, which contradicts nothing.
    """
    absent = [value for value in _paths(plugin.config().values()) if not Path(value).exists()]
    return {
        fact: value
        for fact, value in plugin.agreement().items()
        if not any(path in value for path in absent)
    }


def _paths(values: Iterable[Any]) -> list[str]:
    texts = [value for value in values if isinstance(value, str)]
    return [text for text in texts if os.sep in text or Path(text).suffix]
