"""`composer-pl plugins list | show | fetch | check`.

`list` reads package metadata alone: it works, at once, whatever is broken. The others import the
one plugin that they are about.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer_pl.cli.parser import ComposerParser
from composer_pl.conditions import discovery
from composer_pl.errors import MissingDependencyError, MissingWeightsError, UserInputError, nearest

if TYPE_CHECKING:
    from composer_pl.plugin import ConditionPlugin, WeightSpec

HELP = "Which conditions are installed, what they need, and whether they keep the contract."


def add_arguments(parser: ComposerParser) -> None:
    """Declare the four sub-commands."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = commands.add_parser("list", help="name all installed conditions, importing none")
    action.add_argument("--json", action="store_true", help="print JSON")
    action = commands.add_parser("show", help="what one condition is and needs")
    action.add_argument("name", metavar="NAME")
    action = commands.add_parser("fetch", help="bring the weights of one condition to this machine")
    action.add_argument("name", metavar="NAME")
    action.add_argument(
        "--from", dest="source", metavar="PATH", type=Path, help="take a file from disk instead"
    )
    action.add_argument("--file", metavar="FILE", help="this file of those that `show` lists")
    action.add_argument("--all", action="store_true", help="every file that some setting can use")
    action = commands.add_parser("check", help="hold one condition to the contract")
    action.add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Run one sub-command; return the exit code."""
    if args.action == "list":
        return _list(as_json=args.json)
    if args.action == "show":
        return _show(args.name)
    if args.action == "fetch":
        return _fetch(args.name, source=args.source, file=args.file, everything=args.all)
    return _check(args.name)


# -- list ------------------------------------------------------------------------------------------


def _list(*, as_json: bool) -> int:
    entries = list(discovery.discover().values())
    if as_json:
        records = [{**asdict(entry), "problem": entry.problem} for entry in entries]
        print(json.dumps(records, indent=2))
        return 0
    if not entries:
        print("No condition is installed. Next: `pip install 'composer-pl[paper]'`.")
        return 0
    rows = [("name", "package", "version", "licence", "composer-pl")]
    rows += [
        (entry.name, entry.distribution, entry.version, entry.license or "?", entry.requires)
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    marks = [""] + [f"  ! {entry.problem}" if entry.problem else "" for entry in entries]
    for row, mark in zip(rows, marks, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip() + mark)
    return 0


# -- show ------------------------------------------------------------------------------------------


def _show(name: str) -> int:
    entry = discovery.find(name, doing=f"Showing the condition {name!r}")
    print(f"{entry.name}: {entry.distribution} {entry.version}, licence {entry.license or '?'}")
    print(f"  composer-pl   {entry.requires or 'any version'}")
    print(f"  class         {entry.reference}")
    plugin_class = discovery.load(name)
    summary = (plugin_class.__doc__ or "").strip().partition("\n")[0]
    plugin = _with_defaults(plugin_class) or plugin_class
    side = "size of the value" if plugin.canvas is None else f"{plugin.canvas} px"
    print(f"  what          {summary}")
    print(f"  scope         {plugin_class.scope}")
    print(f"  reads         {', '.join(plugin_class.inputs)}, canvas: {side}")
    print(f"  random        {'yes' if plugin_class.randomized else 'no'}")
    for argument, default in _arguments(plugin_class):
        print(f"  argument      {argument}{default}")
    used = _in_use(plugin_class)
    from composer_pl.plugin.weights import human_size, weights_folder

    for spec in plugin_class.weights:
        there = any(
            (weights_folder() / file).is_file() for file in (spec.name, spec.converted) if file
        )
        print(f"  weights       {spec.name}: {human_size(spec.size)}, licence {spec.license}")
        print(f"    state       {'here' if there else 'missing'}", end="")
        print("" if spec in used else ", not used by the default settings")
        print(f"    place       {weights_folder() / spec.name}")
        print(f"    from        {spec.url or spec.origin}")
        print(f"    sha256      {spec.sha256 or 'not published'}")
    return 0


def _arguments(plugin_class: type["ConditionPlugin"]) -> list[tuple[str, str]]:
    """Constructor arguments and their defaults, as text."""
    import inspect

    parameters = list(inspect.signature(plugin_class.__init__).parameters.values())[1:]
    return [
        (item.name, "" if item.default is item.empty else f" = {item.default!r}")
        for item in parameters
    ]


def _with_defaults(plugin_class: type["ConditionPlugin"]) -> "ConditionPlugin | None":
    """The plugin with default settings; None where the constructor demands arguments."""
    try:
        return plugin_class()
    except TypeError:
        return None


def _in_use(plugin_class: type["ConditionPlugin"]) -> tuple["WeightSpec", ...]:
    """The files of the default settings; all of them where there are none."""
    plugin = _with_defaults(plugin_class)
    return plugin_class.weights if plugin is None else plugin.weights_in_use()


# -- fetch -----------------------------------------------------------------------------------------


def _fetch(name: str, *, source: Path | None, file: str | None, everything: bool) -> int:
    plugin_class = discovery.load(name, doing=f"Fetching weights of the condition {name!r}")
    specs = _choose(name, plugin_class, source=source, file=file, everything=everything)
    if not specs:
        print(f"The condition {name!r} needs no weights.")
        return 0
    from composer_pl.plugin.weights import fetch, human_size, weights_folder

    failures: list[MissingWeightsError] = []
    for spec in specs:
        print(f"{spec.name}: {human_size(spec.size)}, licence {spec.license}, {spec.origin}")
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
    if not failures:
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
        return plugin_class.weights if everything else _in_use(plugin_class)
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


def _progress(done: int, total: int) -> None:
    """Write one line that is overwritten in place; only on a terminal."""
    if total:
        text = f"  {done / 1e6:.0f} of {total / 1e6:.0f} MB ({100 * done // total} %)"
    else:
        text = f"  {done / 1e6:.0f} MB"
    end = "\n" if total and done >= total else ""
    print(f"\r{text}", end=end, file=sys.stderr, flush=True)


# -- check -----------------------------------------------------------------------------------------

_TEST_FILE = """\
import pytest
from composer_pl.conditions.discovery import load
from composer_pl.plugin.testing import PluginContract

class TestCondition(PluginContract):
    @pytest.fixture
    def plugin(self):
        return load({name!r})()
"""


def _check(name: str) -> int:
    """Run the contract's tests through pytest and print a line for each."""
    discovery.load(name, doing=f"Checking the condition {name!r}")
    try:
        import pytest
    except ImportError:
        raise MissingDependencyError(
            "pytest", needed_by="`composer-pl plugins check`", install="pytest"
        ) from None
    from tempfile import TemporaryDirectory

    reporter = _Reporter()
    with TemporaryDirectory() as folder:
        file = Path(folder, f"test_condition_{name}.py")
        file.write_text(_TEST_FILE.format(name=name))
        settings = Path(folder, "pytest.ini")  # not the one of whatever folder the user is in
        settings.write_text("[pytest]\n")
        code = pytest.main(
            [
                str(file),
                f"-c{settings}",
                f"--rootdir={folder}",
                "--import-mode=importlib",
                *("-p", "no:terminal", "-p", "no:cacheprovider"),
            ],
            plugins=[reporter],
        )
    print(f"{name}: {reporter.summary()}")
    return 0 if code == 0 else 1


class _Reporter:
    """A pytest plugin that prints one line a check."""

    def __init__(self) -> None:
        self.counts = {"ok": 0, "skip": 0, "FAIL": 0}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest after set-up, call and tear-down of each test."""
        if report.when != "call" and report.outcome == "passed":
            return
        check = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        if report.outcome == "passed":
            state, reason = "ok", ""
        elif report.outcome == "skipped":
            state, reason = "skip", str(report.longrepr[-1]).removeprefix("Skipped: ")
        else:
            crash = getattr(report.longrepr, "reprcrash", None)
            state = "FAIL"
            reason = crash.message if crash else str(report.longrepr)
        self.counts[state] += 1
        reason = " ".join(reason.split())
        print(f"{state:<4}  {check}" + (f": {reason}" if reason else ""))

    def pytest_collectreport(self, report: Any) -> None:
        """Called by pytest after collecting; a failure there is a failed check."""
        if report.failed:
            self.counts["FAIL"] += 1
            print(f"FAIL  collecting the checks: {report.longrepr}")

    def summary(self) -> str:
        """Counts in words."""
        return (
            f"{self.counts['ok']} passed, {self.counts['FAIL']} failed, "
            f"{self.counts['skip']} skipped"
        )
