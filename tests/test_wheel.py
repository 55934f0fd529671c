"""The core wheel brings what is shipped with it: references, trained models, types."""

import zipfile
from pathlib import Path

import pytest
import yaml

from composer_pl.cli.fit import configured
from composer_pl.evaluation.golden import (
    FOLDER,
    differences,
    grids,
    reference_curves,
    reference_names,
)

ROOT = Path(__file__).parents[1]


def test_it_holds_every_file_of_the_package_and_nothing_else(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel")
    wheel = next(builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path)))
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("composer_pl/")}
    source = ROOT / "src" / "composer_pl"
    files = {path for path in source.rglob("*") if path.is_file()}
    wanted = {
        f"composer_pl/{path.relative_to(source).as_posix()}"
        for path in files
        if "__pycache__" not in path.parts
    }
    assert held == wanted
    assert "composer_pl/golden/quickstart/config.yaml" in held


def test_every_reference_can_be_compared_with():
    assert "quickstart" in reference_names()
    for name in reference_names():
        curves = reference_curves(FOLDER / name)
        assert all(curve.last >= 50 for curve in curves)
        assert (FOLDER / name / "README.md").is_file()
    assert grids(FOLDER / "quickstart")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_quickstart_is_configured_as_its_reference_was(tmp_path):
    """After a change of `configs/quickstart.yaml` or of a default: benchmarks/golden.py."""
    words = ["--config", str(ROOT / "configs" / "quickstart.yaml")]
    cli = configured(words, prog="composer-pl fit")
    config = cli.parser.dump(cli.config, skip_unset=False)
    (tmp_path / "config.yaml").write_text(config)
    golden = FOLDER / "quickstart" / "config.yaml"
    assert differences(tmp_path / "config.yaml", golden) == []
    text = golden.read_text()
    assert yaml.safe_load(text)["trainer"]["default_root_dir"] == "runs/quickstart"
    assert "/home/" not in text
