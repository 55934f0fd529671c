"""One plugin, looked at in a process of its own: can it be imported, and where are its weights?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer_pl.conditions import discovery
from composer_pl.errors import ComposerPLError

if TYPE_CHECKING:
    from composer_pl.plugin import ConditionPlugin, WeightSpec


def look(name: str) -> dict[str, Any]:
    """Import a condition, build it with its defaults, and say where its weights are.

    Returns:
        `weights`, a record for each file, or `error`: a whole message of ours, or what was raised.
    """
    try:
        plugin_class = discovery.load(name, doing=f"Looking at the condition {name!r}")
        plugin, demands = _with_defaults(plugin_class)
        used = plugin_class.weights if plugin is None else plugin.weights_in_use()
        records = [_weight(spec, used=spec in used) for spec in plugin_class.weights]
    except KeyboardInterrupt:
        raise
    except ComposerPLError as error:
        return {"error": str(error)}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"weights": records, "demands": demands}


def _with_defaults(
    plugin_class: type["ConditionPlugin"],
) -> tuple["ConditionPlugin | None", str]:
    """The plugin with default settings, or None and what its constructor demands."""
    try:
        return plugin_class(), ""
    except TypeError as error:
        return None, str(error)


def _weight(spec: "WeightSpec", *, used: bool) -> dict[str, Any]:
    from composer_pl.plugin.digests import remembered, weights_folder

    folder = weights_folder()
    place = Path(spec.packaged) if spec.packaged else folder / spec.name
    record: dict[str, Any] = {
        "name": spec.name,
        "used": used,
        "size": spec.size,
        "license": spec.license,
        "place": str(place),
        "fetchable": bool(spec.url),
        "packaged": bool(spec.packaged),
        "wrong": "",
    }
    if spec.converted and not spec.packaged and _converted(spec, folder):
        return record | {"state": "cached"}
    if not place.is_file():
        return record | {"state": "missing"}
    size = place.stat().st_size
    digest = remembered(place).get("sha256")  # gigabytes are not read anew here
    if spec.sha256 and digest and digest != spec.sha256:
        record["wrong"] = f"another file (sha256 {digest})"
    elif spec.size and size != spec.size:
        record["wrong"] = f"a file of {size} bytes instead of {spec.size}"
    return record | {"state": "shipped" if spec.packaged else "cached"}


def _converted(spec: "WeightSpec", folder: Path) -> bool:
    from composer_pl.plugin.digests import remembered

    ready = folder / spec.converted
    return bool(ready.is_file() and remembered(ready).get("made_of"))
