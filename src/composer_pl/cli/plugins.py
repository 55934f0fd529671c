"""`composer-pl plugins list | show | fetch | check`.

`list` reads package metadata alone: it works, at once, whatever is broken. The others import the
one plugin that they are about.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from composer_pl.cli.parser import ComposerParser
from composer_pl.conditions import discovery

if TYPE_CHECKING:
    from composer_pl.plugin import ConditionPlugin

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
        from composer_pl.cli.plugin_fetch import fetch_weights

        return fetch_weights(args.name, source=args.source, file=args.file, everything=args.all)
    from composer_pl.cli.plugin_check import check_condition

    return check_condition(args.name)


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
    from composer_pl.cli.plugin_fetch import in_use, with_defaults

    plugin_class = discovery.load(name)
    summary = (plugin_class.__doc__ or "").strip().partition("\n")[0]
    plugin = with_defaults(plugin_class)
    print(f"  what          {summary}")
    print(f"  scope         {plugin_class.scope}")
    print(f"  reads         {', '.join(plugin_class.inputs)}{_canvas(plugin or plugin_class)}")
    if plugin is not None:
        print(f"  value         {_value(plugin)}")
    print(f"  random        {'yes' if plugin_class.randomized else 'no'}")
    for argument, default in _arguments(plugin_class):
        print(f"  argument      {argument}{default}")
    used = in_use(plugin_class)
    from composer_pl.plugin.weights import human_size, weights_folder

    for spec in plugin_class.weights:
        place = Path(spec.packaged) if spec.packaged else weights_folder() / spec.name
        there = place.is_file() or bool(
            spec.converted and (weights_folder() / spec.converted).is_file()
        )
        print(f"  weights       {spec.name}: {human_size(spec.size)}, licence {spec.license}")
        print(f"    state       {'here' if there else 'missing'}", end="")
        print("" if spec in used else ", not used by the default settings")
        print(f"    place       {place}")
        source = "shipped with the package" if spec.packaged else spec.url or spec.origin
        print(f"    from        {source}")
        print(f"    sha256      {spec.sha256 or 'not published'}")
    return 0


def _canvas(plugin: "ConditionPlugin | type[ConditionPlugin]") -> str:
    """At which size it reads pictures, as text; a property of the class waits for arguments."""
    if isinstance(plugin.canvas, int):
        return f", canvas: {plugin.canvas} px"
    return ", canvas: size of the value" if plugin.canvas is None else ""


def _value(plugin: "ConditionPlugin") -> str:
    """Shape, type and range of a value, as text."""
    spec = plugin.spec
    within = "" if spec.value_range is None else " in [{:g}, {:g}]".format(*spec.value_range)
    return f"({', '.join(str(axis) for axis in spec.shape)}) {spec.dtype}{within}"


def _arguments(plugin_class: type["ConditionPlugin"]) -> list[tuple[str, str]]:
    """Constructor arguments and their defaults, as text."""
    import inspect

    parameters = inspect.signature(plugin_class).parameters.values()
    return [
        (item.name, "" if item.default is item.empty else f" = {item.default!r}")
        for item in parameters
    ]
