"""What the documents tell people to type is accepted, and what they point at exists."""

import re
import shlex
from pathlib import Path

import pytest

from composer_pl.cli import COMMANDS, RAW

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*/*/README.md")]


def commands():
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        for line in re.findall(r"^\$ (composer-pl .*)$", text, re.MULTILINE):
            yield pytest.param(line, id=f"{document.parent.name}: {line[:50]}")


@pytest.mark.parametrize("line", list(commands()))
def test_commands_are_accepted_by_their_parser(line):
    from importlib import import_module

    from composer_pl.cli.parser import ComposerParser

    name, *arguments = shlex.split(line.split("  #")[0])[1:]
    assert name in COMMANDS
    if name in RAW:
        for config in re.findall(r"configs/\S+", line):
            assert (ROOT / config).is_file()
        return
    module = import_module(COMMANDS[name][0])
    parser = ComposerParser(prog=f"composer-pl {name}")
    module.add_arguments(parser)
    parser.parse_args(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target
