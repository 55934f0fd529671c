"""Every installed condition, and the models that are shipped with the package."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import composer_pl
from composer_pl.cli.doctor.findings import Finding, one_line, refused, size_text
from composer_pl.conditions.discovery import check_usable
from composer_pl.conditions.manifest import ENVIRONMENT, PluginEntry, discover
from composer_pl.errors import ComposerPLError

SHIPPED = Path(composer_pl.__file__).parent / "pretrained"
JUDGE = "scenes-judge"
"""The one folder there that holds no model: a network that `eval` reads pictures with."""

_REINSTALL = "`pip install --force-reinstall --no-deps composer-pl`"


def plugin_findings(found: Mapping[str, Any]) -> list[Finding]:
    """A finding for each condition, and one for each of its files that is not as it should be.

    Args:
        found: What `probe.ask` answered.
    """
    entries = discover()
    findings = []
    for entry in entries.values():
        findings += _condition(entry, found)
    hidden = sorted(discover(restricted=False).keys() - entries.keys())
    if hidden:
        text = f"{', '.join(hidden)}: left out by {ENVIRONMENT}"
        findings.append(Finding("plugins", "note", text, f"unset {ENVIRONMENT} to use them"))
    elif not entries:
        advice = "`pip install 'composer-pl[paper]'`"
        findings.append(Finding("plugins", "note", "no condition is installed", advice))
    return findings


def shipped_models(folder: Path = SHIPPED) -> list[Finding]:
    """Whether each shipped model is whole and its conditions are installed, and the judge whole."""
    models = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not models:
        return [Finding("models", "ok", "none is shipped with this package")]
    installed = discover()
    return [
        _judge(model) if model.name == JUDGE else _model(model, installed)
        for model in models
        if not model.name.startswith(("_", "."))
    ]


# -- conditions ------------------------------------------------------------------------------------


def _condition(entry: PluginEntry, found: Mapping[str, Any]) -> list[Finding]:
    label = f"plugin {entry.name}"
    try:
        check_usable(entry, doing=f"Finding the condition {entry.name!r}")
    except ComposerPLError as error:  # duplicate, incompatible, a name that cannot be one
        return [refused(label, str(error))]
    about = f"{entry.distribution} {entry.version}, licence {entry.license or 'not stated'}"
    lacking = _lacking(entry.distribution)
    if lacking:
        wanted = " ".join(f"'{requirement}'" for requirement, _ in lacking)
        text = f"{about}; {'; '.join(problem for _, problem in lacking)}"
        return [Finding(label, "broken", text, f"`pip install {wanted}`")]
    if "plugins" not in found:
        return [Finding(label, "note", f"{about}; not looked at, as torch cannot be imported")]
    record: Mapping[str, Any] = found["plugins"].get(entry.name) or {"error": "no answer came"}
    if error := record.get("error"):
        if " Next: " in error:
            return [refused(label, error)]
        text = f"{about}; importing it failed: {one_line(error)}"
        advice = f"`pip install --upgrade {entry.distribution}`, or uninstall it"
        return [Finding(label, "broken", text, advice)]
    weights = record["weights"]
    used = [w for w in weights if w["used"]]
    text = f"{about}; {_summary(used, weights)}"
    if record.get("demands"):
        text += f"; it has no default settings ({one_line(record['demands'])})"
    files = [_file(entry, weight) for weight in weights]
    return [Finding(label, "ok", text), *(finding for finding in files if finding is not None)]


def _summary(used: list[dict[str, Any]], weights: list[dict[str, Any]]) -> str:
    if not weights:
        return "needs no weights"
    others = [weight for weight in weights if not weight["used"] and weight["state"] != "missing"]
    told = [f"{weight['name']} {weight['state']}" for weight in (*used, *others)]
    if not used:
        told.insert(0, "needs no weights with its default settings")
    return ", ".join(told)


def _file(entry: PluginEntry, weight: Mapping[str, Any]) -> Finding | None:
    """What is to be told of one file; nothing of a whole one, or of one that nothing uses."""
    label, name = f"plugin {entry.name}", weight["name"]
    about = f"{name} ({_size(weight['size'])}, licence {weight['license']})"
    if weight["packaged"]:
        if weight["state"] == "shipped" and not weight["wrong"]:
            return None
        found = weight["wrong"] or "no such file"
        text = f"{about} should be shipped at {weight['place']}, found {found}"
        advice = f"`pip install --force-reinstall --no-deps {entry.distribution}`"
        return Finding(label, "broken", text, advice)
    command = f"composer-pl plugins fetch {entry.name} --file {name}"
    command = f"`{command}`" if weight["fetchable"] else f"`{command} --from FILE`"
    if weight["wrong"]:
        text = f"{about} at {weight['place']}: found {weight['wrong']}"
        return Finding(label, "broken", text, f"{command} gets the right one")
    if weight["state"] == "missing" and weight["used"]:
        return Finding(label, "note", f"{about} is missing", command)
    return None


def _size(count: int) -> str:
    return size_text(count) if count else "size unknown"


def _lacking(distribution: str) -> list[tuple[str, str]]:
    from composer_pl.cli.doctor.packages import unmet

    return unmet(distribution)


# -- models ----------------------------------------------------------------------------------------


def _model(folder: Path, installed: Mapping[str, PluginEntry]) -> Finding:
    label = f"model {folder.name}"
    try:
        description = json.loads((folder / "config.json").read_text())
        conditions = description["conditions"]
        needed = {name: str(entry["plugin"]) for name, entry in conditions.items()}
        packages = {
            str(entry["plugin"]): str(entry["distribution"]) for entry in conditions.values()
        }
        size = whole_safetensors(folder / "model.safetensors")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _damaged(label, folder, error)
    text = f"{size_text(size)}, conditions {', '.join(needed) or 'none'}"
    absent = sorted({plugin for plugin in needed.values() if plugin not in installed})
    if absent:
        wanted = " ".join(packages[plugin] for plugin in absent)
        text += f"; it needs {', '.join(absent)}, which this environment lacks"
        return Finding(label, "note", text, f"`pip install {wanted}`")
    return Finding(label, "ok", text)


def _judge(folder: Path) -> Finding:
    label = f"judge {folder.name}"
    try:
        size = whole_safetensors(folder / "model.safetensors")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _damaged(label, folder, error)
    text = f"{size_text(size)}, weights alone: `eval` reads pictures of scenes with it"
    return Finding(label, "ok", text)


def _damaged(label: str, folder: Path, error: Exception) -> Finding:
    text = f"{folder} is damaged ({one_line(f'{type(error).__name__}: {error}')})"
    return Finding(label, "broken", text, _REINSTALL)


def whole_safetensors(path: Path) -> int:
    """The size of a safetensors file, after holding it to what its own header says.

    Raises:
        ValueError: It is cut off, or none.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= size - 8:
            raise ValueError(f"{path.name} is cut off or no safetensors file")
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if size != 8 + length + max(ends, default=0):
        raise ValueError(f"{path.name} has {size} bytes, its header says otherwise")
    return size
