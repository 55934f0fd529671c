"""What `docs/write-a-plugin.md` tells an author to write is a plugin that keeps the contract."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from composer_pl.cli import main
from composer_pl.conditions import discovery
from composer_pl.conditions.extraction import Extraction
from composer_pl.errors import MissingWeightsError, UserInputError
from composer_pl.plugin.checks import declared

PAGE = (Path(__file__).parents[2] / "docs" / "write-a-plugin.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def tutorial(install, tmp_path):
    """The package of the page, installed; gives its folder."""
    (text,) = blocks("toml")
    project = tomllib.loads(text)["project"]
    points = project["entry-points"]["composer_pl.conditions"]
    install(project["name"], points, requires=project["dependencies"][0])
    for block in blocks("python"):
        head, _, code = block.partition("\n")
        path = tmp_path / "site" / head.removeprefix("# ").removeprefix("src/")
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(code)
    return tmp_path / "site"


@pytest.mark.slow
def test_its_own_tests_pass(tutorial):
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tutorial)]
    environment = {**os.environ, "PYTHONPATH": str(tutorial), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [*command, "tests/test_normals.py"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tutorial,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"44 passed in .*", done.stdout.strip().splitlines()[-1]), done.stdout


def test_the_command_checks_them(tutorial, monkeypatch, capsys):
    monkeypatch.setattr(declared, "loaded_by", lambda statement: [])  # seconds; tested above
    assert main(["plugins", "check", "normals"]) == 0
    assert "0 failed, 0 skipped" in capsys.readouterr().out


def test_they_are_extracted_encoded_described_and_rebuilt(tutorial):
    plugins = {
        "surface": discovery.load("normals")(strength=2.0),
        "when": discovery.load("daytime")(),
    }
    described = [discovery.describe(plugin) for plugin in plugins.values()]
    assert [discovery.rebuild(record) for record in described] == list(plugins.values())
    extraction = Extraction(plugins, value_size=(16, 24))
    dark, bright = torch.full((3, 48, 48), -0.9), torch.full((3, 48, 48), 0.9)
    batch = {"source": torch.stack([dark, bright]), "caption": ["", ""]}
    values = extraction.extract(batch, torch.ones(2, 2, dtype=torch.bool))  # type: ignore[arg-type]
    assert values["surface"].shape == (2, 3, 16, 24)
    assert values["when"].tolist() == [[0], [2]]
    assert plugins["when"].read("dusk").tolist() == [1]
    with pytest.raises(UserInputError, match="night, dusk, day"):
        plugins["when"].read("noon")


def test_its_weights_are_missing_by_name_and_taken_from_a_path(tutorial, tmp_path):
    from importlib import import_module

    discovery.load("normals")
    learned = import_module("composer_pl_normals.learned").LearnedNormals
    with pytest.raises(MissingWeightsError, match=r"normals-small\.safetensors"):
        learned().build_extractor()
    own = tmp_path / "own.safetensors"
    save_file({"weight": torch.zeros(3, 3, 3, 3), "bias": torch.zeros(3)}, own)
    with pytest.raises(MissingWeightsError, match="found another file"):  # the digest is held to
        learned(weights_file=str(own)).build_extractor()


def test_every_member_that_it_names_exists():
    from composer_pl import plugin

    rows = PAGE.partition("| member |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [row.split("|")[1] for row in rows]
    members = [name for cell in cells for name in re.findall(r"`(\w+)", cell)]
    assert len(members) >= 11
    assert all(hasattr(plugin.ConditionPlugin, name) for name in members), members
    for name in ("VectorEncoder", "keyed_uniform", "keyed_draws", "require", "resolve_weights"):
        assert name in PAGE
        assert name in plugin.__all__
