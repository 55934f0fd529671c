"""`composer-pl edit TASK`: the paper's tasks, one sub-command each.

A task's module has `HELP: str`, `add_arguments(parser)` for its own options, `recipe(args)` (what
`--recipe` and `--with` change) and `plan(args, session) -> Plan`; the frame does all else. It may
have `PICTURES` (how many by default) and `CONFINED` (which argument holds the picture that
`--inside` keeps outside a region). No such module imports torch at its top, so that help answers at
once.
"""

import argparse
from importlib import import_module

from composer_pl.cli.parser import ComposerParser

HELP = "Edit pictures: the paper's tasks, each a command."

TASKS: dict[str, str] = {
    "text": "pictures of a caption, with or without the prior",
    "variation": "keep some parts of a picture, let chance decide the rest",
    "mix": "each part from another picture, each with a weight",
    "style": "the style of one picture, the content of another",
    "translation": "the content of a picture, in the words of a text",
    "colorization": "a palette for a grey picture, or another palette for a coloured one",
    "pose": "the thing of a picture, placed as a map says",
    "tryon": "the garment of one picture on the person of another",
    "reconfiguration": "a picture whose sketch, map, depth or palette was edited by hand",
    "interpolation": "a row of pictures and a film from one picture to another",
    "region": "a region drawn anew; outside, every pixel stays",
    "inversion": "a picture walked back to noise under some parts, drawn again under others",
}
"""Task -> one line of help; its module is `composer_pl.cli.edit.TASK`."""


def add_arguments(parser: ComposerParser) -> None:
    """Declare one sub-command a task."""
    from composer_pl.cli.edit.frame import add_common_arguments

    commands = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, line in TASKS.items():
        module = import_module(f"{__name__}.{name}")
        task = commands.add_parser(name, help=line, description=module.HELP)
        module.add_arguments(task)
        add_common_arguments(task, module)


def run(args: argparse.Namespace) -> int:
    """Run one task; return the exit code."""
    from composer_pl.cli.edit.frame import run_task

    return run_task(import_module(f"{__name__}.{args.task}"), args)
