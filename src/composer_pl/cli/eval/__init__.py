"""`composer-pl eval PROTOCOL`: measure a model, one sub-command a protocol.

A protocol's module has `HELP: str`, `add_arguments(parser)` and `run(args) -> int`; what protocols
share stands in `frame`. No such module imports torch at its top, so that help answers at once.
"""

import argparse
from importlib import import_module

from composer_pl.cli.parser import ComposerParser

HELP = "Measure a model: each protocol is a command that writes a report and its numbers."

PROTOCOLS: dict[str, tuple[str, str]] = {
    "coco-fid": ("coco_fid", "zero-shot FID and CLIP score on COCO, the paper's protocol"),
    "control": ("control", "how well pictures obey each condition, alone and in company"),
    "attribution": ("attribution", "what each condition is worth: Shapley effects on the loss"),
    "composition": ("composition", "conditions of two pictures: what is kept, and which one wins"),
    "compare": ("compare", "two evaluations side by side, if they were made in the same way"),
}
"""Protocol -> (module under `composer_pl.cli.eval`, one line of help)."""


def add_arguments(parser: ComposerParser) -> None:
    """Declare one sub-command a protocol."""
    commands = parser.add_subparsers(dest="protocol", metavar="PROTOCOL", required=True)
    for name, (module_name, line) in PROTOCOLS.items():
        module = import_module(f"{__name__}.{module_name}")
        protocol = commands.add_parser(name, help=line, description=module.HELP)
        module.add_arguments(protocol)


def run(args: argparse.Namespace) -> int:
    """Run one protocol; return the exit code."""
    module_name, _ = PROTOCOLS[args.protocol]
    return import_module(f"{__name__}.{module_name}").run(args)
