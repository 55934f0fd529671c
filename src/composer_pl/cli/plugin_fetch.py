"""`composer-pl plugins fetch`: bring the weights of one condition to this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from composer_pl.conditions import discovery
from composer_pl.errors import MissingWeightsError, UserInputError, nearest

if TYPE_CHECKING:
    from composer_pl.plugin import ConditionPlugin, WeightSpec


def fetch_weights(name: str, *, source: Path | None, file: str | None, everything: bool) -> int:
    """Bring the weights of one condition into the cache; return the exit code.

    Args:
        name: Entry-point name.
        source: A file on disk to take instead of downloading.
        file: The one file to fetch; None takes those that the default settings use.
        everything: Fetch every file that some setting can use.

    Raises:
        UserInputError: `file` or `source` names none of the condition's files, or one that its
            package ships.
        MissingWeightsError: Nothing could be fetched.
        ComposerPLError: As `discovery.load` raises.
    """
    plugin_class = discovery.load(name, doing=f"Fetching weights of the condition {name!r}")
    specs = _choose(name, plugin_class, source=source, file=file, everything=everything)
    if not specs:
        print(f"The condition {name!r} needs no weights{_other_files(plugin_class)}.")
        return 0
    if source is not None and specs[0].packaged:
        raise UserInputError(
            f"Fetching weights of the condition {name!r}: {specs[0].name} is shipped with the "
            f"package, found --from {source}. Next: leave --from out, or give that file as "
            f"`weights_file` in the condition's settings."
        )
    from composer_pl.plugin.weights import fetch, human_size, weights_folder

    failures: list[MissingWeightsError] = []
    for spec in specs:
        print(f"{spec.name}: {human_size(spec.size)}, licence {spec.license}, {spec.origin}")
        if spec.packaged:
            print("  shipped with the package: there is nothing to fetch")
        try:
            ready = fetch(
                spec,
                condition=name,
                source=source,
                convert=plugin_class.convert_weights,
                progress=_progress if sys.stderr.isatty() else None,
            )
        except MissingWeightsError as error:
            failures.append(error)
            continue
        print(f"  ready: {ready}")
    if failures and len(failures) == len(specs):
        raise failures[0]
    for error in failures:
        print(error, file=sys.stderr)
    if not failures and not all(spec.packaged for spec in specs):
        print(f"The weights of {name!r} are in {weights_folder()}.")
    return 2 if failures else 0


def _choose(
    name: str,
    plugin_class: type["ConditionPlugin"],
    *,
    source: Path | None,
    file: str | None,
    everything: bool,
) -> tuple["WeightSpec", ...]:
    """Which files to fetch.

    Raises:
        UserInputError: `--file` or `--from` names none of them.
    """
    known = {spec.name: spec for spec in plugin_class.weights}
    doing = f"Fetching weights of the condition {name!r}"
    if file is not None:
        if file not in known:
            raise UserInputError(
                f"{doing}: expected one of {', '.join(known) or 'no file'}, found {file!r}"
                f"{nearest(file, known) or '.'} Next: `composer-pl plugins show {name}`."
            )
        return (known[file],)
    if source is None:
        return plugin_class.weights if everything else in_use(plugin_class)
    if not source.is_file():
        raise UserInputError(f"{doing}: found no file {source}. Next: correct --from.")
    from composer_pl.plugin.weights import file_digest

    digest = file_digest(source)
    for spec in known.values():
        if digest == spec.sha256:
            return (spec,)
    if source.name in known:
        return (known[source.name],)
    if len(known) == 1:
        return tuple(known.values())
    raise UserInputError(
        f"{doing}: expected one of {', '.join(known) or 'no file'}, found {source.name} with "
        f"sha256 {digest}. Next: name what it stands for with --file."
    )


def _other_files(plugin_class: type["ConditionPlugin"]) -> str:
    """What a person should know who asked for weights that the default settings do not need."""
    names = ", ".join(spec.name for spec in plugin_class.weights)
    return names and f" with its default settings; others use {names}: name one with --file"


def _progress(done: int, total: int) -> None:
    """Write one line that is overwritten in place; only on a terminal."""
    if total:
        text = f"  {done / 1e6:.0f} of {total / 1e6:.0f} MB ({100 * done // total} %)"
    else:
        text = f"  {done / 1e6:.0f} MB"
    end = "\n" if total and done >= total else ""
    print(f"\r{text}", end=end, file=sys.stderr, flush=True)


def with_defaults(plugin_class: type["ConditionPlugin"]) -> "ConditionPlugin | None":
    """The plugin with default settings; None where the constructor demands arguments."""
    try:
        return plugin_class()
    except TypeError:
        return None


def in_use(plugin_class: type["ConditionPlugin"]) -> tuple["WeightSpec", ...]:
    """The files of the default settings; all of them where there are none."""
    plugin = with_defaults(plugin_class)
    return plugin_class.weights if plugin is None else plugin.weights_in_use()
