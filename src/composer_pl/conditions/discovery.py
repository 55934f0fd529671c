"""Find a condition by name or class and import its plugin, alone and in its own try.

A broken plugin harms nobody else: only what a command uses is imported. Checkpoints record a
condition by entry point, package and version, and are resolved through entry points only. This
module imports neither torch nor the contract, so that listing stays instant.
"""

import logging
import re
from contextlib import suppress
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from composer_pl.conditions.manifest import (
    ENVIRONMENT,
    GROUP,
    PluginEntry,
    canonical,
    discover,
    fits,
    installed_version,
)
from composer_pl.errors import (
    BrokenPluginError,
    CheckpointError,
    ComposerPLError,
    ConfigError,
    DuplicatePluginError,
    IncompatiblePluginError,
    UnknownConditionError,
)

logger = logging.getLogger(__name__)

if TYPE_CHECKING:  # importing the contract imports torch, which listing must not
    from composer_pl.plugin.api import ConditionPlugin


def find(name: str, *, doing: str = "Finding a condition", package: str = "") -> PluginEntry:
    """Return the one usable entry of a name, without importing it.

    Args:
        name: Entry-point name.
        doing: What was being done, for the message.
        package: The package to install, where it is known (from a checkpoint, say).

    Raises:
        UnknownConditionError: No installed distribution provides it.
        DuplicatePluginError: Several do.
        IncompatiblePluginError: It is made for another version of composer-pl.
        ConfigError: The name cannot be a key of a configuration.
    """
    installed = discover()
    if name not in installed:
        if name in discover(restricted=False):
            raise UnknownConditionError(
                name,
                installed,
                doing=f"{doing}, where {ENVIRONMENT} leaves it out",
                next_step=f"add it to the environment variable {ENVIRONMENT}, or unset that",
            )
        raise UnknownConditionError(name, installed, doing=doing, package=package)
    check_usable(installed[name], doing=doing)
    return installed[name]


def check_usable(entry: PluginEntry, *, doing: str = "Finding a condition") -> None:
    """Refuse an entry whose metadata tells that it cannot be used.

    Raises:
        DuplicatePluginError: Several distributions provide the name.
        IncompatiblePluginError: It is made for another version of composer-pl.
        ConfigError: The name cannot be a key of a configuration.
    """
    if entry.rivals:
        raise DuplicatePluginError(entry.name, (entry.distribution, *entry.rivals))
    if not entry.name.isidentifier():
        raise ConfigError(
            f"{doing}: the name of a condition must be a Python identifier, found {entry.name!r} "
            f"from {entry.distribution}. Next: ask its author to rename the entry point."
        )
    ours = installed_version()
    if not fits(entry.requires, ours):
        raise IncompatiblePluginError(entry.name, entry.distribution, entry.requires, ours)


def load(
    name: str, *, doing: str = "Loading a condition", package: str = ""
) -> type["ConditionPlugin"]:
    """Import one plugin and return its class.

    Raises:
        BrokenPluginError: Its import failed, in whatever way, or it yields no valid plugin.
        ComposerPLError: As `find` raises.
    """
    return _import(find(name, doing=doing, package=package))


def entry_for_class(plugin_class: type["ConditionPlugin"]) -> PluginEntry | None:
    """Return the entry that provides a class, or None when no installed package does.

    Only an entry whose top-level package is the class's own is imported to compare.
    """
    package = plugin_class.__module__.partition(".")[0]
    for entry in discover().values():
        if entry.problem or re.split(r"[.:]", entry.reference)[0] != package:
            continue
        with suppress(BrokenPluginError):  # another class of the same package, not asked for
            if _import(entry) is plugin_class:
                return entry
    return None


def describe(plugin: "ConditionPlugin") -> dict[str, Any]:
    """Describe a plugin as plain data for a checkpoint or model folder.

    Returns:
        `plugin` (entry-point name), `distribution`, `version` and `init_args`.

    Raises:
        ConfigError: No installed package provides the class under an entry point, so that
            nobody could rebuild it.
    """
    entry = entry_for_class(type(plugin))
    if entry is None:
        cls = type(plugin)
        raise ConfigError(
            f"Describing the condition {cls.__name__}: expected a class that an installed package "
            f"provides in the entry-point group {GROUP!r}, found {cls.__module__}."
            f"{cls.__qualname__}. Next: declare the entry point and install the package."
        )
    return {
        "plugin": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "init_args": plugin.config(),
    }


def rebuild(description: dict[str, Any]) -> "ConditionPlugin":
    """Build a plugin from what `describe` answered.

    Only installed entry points are resolved, never an import path that a file names. Another
    package that provides the same name is another representation, whose values this model has
    never seen; another series of the same package may be, so that is told.

    Raises:
        UnknownConditionError: Its package is not installed; the message names it.
        CheckpointError: The description is malformed, another package provides the name, or the
            arguments do not fit the class.
        ComposerPLError: As `load` raises.
    """
    name, init_args = description.get("plugin"), description.get("init_args")
    if not isinstance(name, str) or not isinstance(init_args, dict):
        raise CheckpointError(
            f"Rebuilding a condition: expected a record with `plugin` and `init_args`, found "
            f"{description!r}. Next: check that the model folder is complete."
        )
    package, version = _plain(description, "distribution"), _plain(description, "version")
    made_with = f"{package} {version}".strip() or "an unnamed package"
    doing = f"Rebuilding a condition made with {made_with}"
    found = find(name, doing=doing, package=package)
    if package and canonical(found.distribution) != canonical(package):
        raise CheckpointError(
            f"{doing}: expected {name!r} from {package}, found {found.distribution} "
            f"{found.version}, which is another representation under the same name. "
            f"Next: `pip uninstall {found.distribution}` and `pip install {package}`."
        )
    if version and _series(version) != _series(found.version):
        logger.warning(
            "The condition %r was made with %s, found %s %s: values may mean something else.",
            *(name, made_with, found.distribution, found.version),
        )
    try:
        return _import(found)(**init_args)
    except ComposerPLError:
        raise
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"Rebuilding the condition {name!r} made with {made_with}: its arguments do not fit "
            f"{found.distribution} {found.version} ({error}). "
            f"Next: `pip install {package or found.distribution}{version and f'=={version}'}`."
        ) from error


def _plain(description: dict[str, Any], key: str) -> str:
    """A name or version that may go into an install command: no options, no addresses."""
    text = description.get(key)
    legal = isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+!-]*", text)
    return str(text) if legal else ""


def _series(version: str) -> str:
    """The part of a version whose change may break: 1.4.2 -> 1, 0.3.1 -> 0.3."""
    major, _, rest = version.partition(".")
    return f"0.{rest.partition('.')[0]}" if major == "0" else major


def _import(entry: PluginEntry) -> type["ConditionPlugin"]:
    """Import the class of an entry in its own try; sys.exit at import is a failure like another."""
    point = EntryPoint(name=entry.name, value=entry.reference, group=GROUP)
    try:
        loaded = point.load()
        _check_class(loaded)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise BrokenPluginError(entry.name, entry.distribution, entry.version, error) from error
    return loaded


def _check_class(loaded: object) -> None:
    """Hold the declared attributes to the contract.

    Raises:
        TypeError: What is wrong; the caller names plugin and package.
    """
    from composer_pl.plugin.api import ConditionPlugin
    from composer_pl.plugin.weights import WeightSpec

    if not (isinstance(loaded, type) and issubclass(loaded, ConditionPlugin)):
        raise TypeError(f"the entry point must name a ConditionPlugin class, found {loaded!r}")
    legal = {
        "scope": getattr(loaded, "scope", None) in ("global", "local"),
        # A property where it depends on an argument; the contract test reads it.
        "canvas": loaded.canvas is None
        or isinstance(loaded.canvas, property)
        or (isinstance(loaded.canvas, int) and loaded.canvas > 0),
        "resample": loaded.resample in ("area", "bicubic", "nearest"),
        "inputs": loaded.inputs in (("image",), ("caption",), ("image", "caption")),
        "randomized": isinstance(loaded.randomized, bool),
        "weights": isinstance(loaded.weights, tuple)
        and all(isinstance(spec, WeightSpec) for spec in loaded.weights),
    }
    for attribute, fine in legal.items():
        if not fine:
            found = getattr(loaded, attribute, "nothing")
            raise TypeError(f"{loaded.__name__}.{attribute} is not legal: {found!r}")
    if abstract := sorted(getattr(loaded, "__abstractmethods__", ())):
        raise TypeError(f"{loaded.__name__} does not implement {', '.join(abstract)}")
