"""What the documents tell people to type is accepted, and what they point at exists."""

import re
import shlex
import shutil
import sys
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


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    examples = ROOT / "benchmarks" / "photos" / "examples"
    for name, photo in (("a", "daisy"), ("b", "tulips")):
        shutil.copy(examples / f"{photo}.jpg", tmp_path / f"{name}.jpg")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "n=4" in program
    found = {}
    exec(program.replace("n=4", "n=1"), found)
    assert [picture.size for picture in found["pictures"]] == [(64, 64)]


def test_the_python_about_models_loads_and_saves(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "models.md").read_text()
    load, save, push = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "push_to_hub(" in push
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(load + save, found)
    again = type(found["composer"]).from_pretrained("out/model")
    assert again.names == found["composer"].names
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert "**Copyleft:** composer-pl-instances is under AGPL-3.0-only" in card
    assert "| data | procedural scenes |" in card


def test_the_photos_page_shows_commands_without_places_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "photos"))
    sys.modules.pop("pictures", None)
    import pictures

    jobs = pictures.steps(Path("out/photos"))
    words = [word for job in jobs for word in job.command]
    assert not [word for word in words if word.startswith("/")]
    assert str(ROOT) not in " ".join(words)
    for word in words:  # what is not made by it lies in the repository
        if word.endswith((".jpg", ".yaml")):
            assert (ROOT / word).is_file(), word
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    (tmp_path / "out" / "photos").mkdir(parents=True)
    page = pictures.write_page(Path("out/photos"), jobs).read_text()
    assert 'src="parts/daisy/sheet.png"' in page
    assert str(ROOT) not in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target
