"""What the documents tell people to type is accepted, and what they point at exists."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from composer_pl.cli import COMMANDS, RAW

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("benchmarks/**/README.md")),
    *sorted(ROOT.glob("plugins/**/README.md")),
    *sorted(ROOT.glob("src/composer_pl/*/*/README.md")),
]


def typed(document):
    """What a document tells to type: lines of code blocks, and pieces of code inside sentences."""
    text = document.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```(?:console|sh|bash)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    blocks += re.findall(r"^ {4}(\S.*)$", prose, re.MULTILINE)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    return lines, re.findall(r"`([^`]+)`", prose)


def commands(whole):
    for document in DOCUMENTS:
        for line in typed(document)[0 if whole else 1]:
            line = line.split(" #")[0].replace("...", "").strip()
            if re.match(r"composer-pl [a-z]", line):
                yield pytest.param(line, id=f"{document.parent.name}: {line[:50]}")


def options_of(parser):
    """Every option that a parser or one of its subcommands has."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        for child in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            found |= options_of(child)
    return found


def parser_of(name):
    from importlib import import_module

    from composer_pl.cli.parser import ComposerParser

    parser = ComposerParser(prog=f"composer-pl {name}")
    import_module(COMMANDS[name][0]).add_arguments(parser)
    return parser


@pytest.mark.parametrize("line", list(commands(whole=True)))
def test_commands_are_accepted_by_their_parser(line):
    name, *arguments = shlex.split(line)[1:]
    assert name in COMMANDS
    if name in RAW:
        for config in re.findall(r"configs/\S+", line):
            assert (ROOT / config).is_file()
        return
    parser_of(name).parse_args(arguments)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "line", [line for line in commands(whole=True) if "composer-pl fit" in line.values[0]]
)
def test_settings_of_trainings_exist(line, monkeypatch):
    from composer_pl.cli.fit import configured

    monkeypatch.chdir(ROOT)
    words = shlex.split(line)[2:]
    theirs = [
        i for i, word in enumerate(words) if word == "--config" and not Path(words[i + 1]).is_file()
    ]
    arguments = [word for i, word in enumerate(words) if i not in theirs and i - 1 not in theirs]
    assert configured(arguments, prog="composer-pl fit").config["model"]


@pytest.mark.parametrize("line", list(commands(whole=False)))
def test_commands_inside_sentences_have_the_options_that_they_name(line):
    name, *arguments = shlex.split(line)[1:]
    assert name in COMMANDS
    if name not in RAW:
        named = {word.split("=")[0] for word in arguments if word.startswith("-")}
        assert named <= options_of(parser_of(name))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_and_targets_exist_with_their_options(document):
    makefile = (ROOT / "Makefile").read_text()
    shared = (ROOT / "benchmarks" / "rounds.py").read_text()
    for line in [command for part in typed(document) for command in part]:
        line = re.sub(r"[\[\]]", "", line.split(" #")[0])
        for target in re.findall(r"^make ([a-z-]+)", line):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), line
        for script, arguments in re.findall(r"\bpython (benchmarks/\S+\.py)(.*)", line):
            source = (ROOT / script).read_text() + shared
            for option in re.findall(r"(?<=\s)--?[a-z][a-z0-9-]*", arguments):
                assert f'"{option}"' in source, f"{script} {option}"


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


def anchors(document):
    """The names by which GitHub links to the headings of a document."""
    heads = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" not in target:
            place, _, anchor = target.partition("#")
            other = document.parent / place if place else document
            assert other.exists(), target
            assert not anchor or anchor in anchors(other), target
