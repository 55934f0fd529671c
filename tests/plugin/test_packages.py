"""The eight packages of this repository as wheels: what a stranger gets when he installs one."""

import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(file.parent for file in (ROOT / "plugins").glob("*/pyproject.toml"))
NAMES = [folder.name for folder in FOLDERS]
LARGEST = 100_000  # bytes; no code of ours comes near, weights of any kind do
TINY = {  # the only weights that a wheel holds, and how large they may be
    "caption": ("clip-tiny-scenes.safetensors", 16_000_000),
    "semantics": ("clip-tiny-scenes-visual.safetensors", 5_000_000),
    "depth": ("dpt-tiny-scenes.safetensors", 5_000_000),
    "instances": ("yolo-tiny-scenes-seg.safetensors", 8_000_000),
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    builder = pytest.importorskip("hatchling.builders.wheel")
    target = tmp_path_factory.mktemp("wheels")
    return {
        folder.name: Path(next(builder.WheelBuilder(str(folder)).build(directory=str(target))))
        for folder in FOLDERS
    }


def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_there_are_eight():
    conditions = "caption color depth instances intensity masking semantics sketch"
    assert conditions.split() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_holds_code_types_licence_one_entry_point_and_tiny_weights_alone(wheels, name):
    package = f"composer_pl_{name}"
    with zipfile.ZipFile(wheels[name]) as archive:
        files = {file.filename: file.file_size for file in archive.infolist()}
        entry = next(file for file in files if file.endswith("entry_points.txt"))
        points = archive.read(entry).decode()
        licence = next(file for file in files if file.endswith("licenses/LICENSE"))
        terms = archive.read(licence).decode()
    readme = metadata(wheels[name]).get_payload()
    source = ROOT / "plugins" / name / "src" / package
    expected = {f"{package}/{file.name}" for file in source.iterdir() if file.suffix == ".py"}
    expected.add(f"{package}/py.typed")
    if name in TINY:
        file, largest = TINY[name]
        if (source / "weights" / file).is_file():  # the plugin's own tests hold it to its digest
            expected.add(f"{package}/weights/{file}")
            assert files.pop(f"{package}/weights/{file}") < largest
            assert "tiny-scenes" in readme
    assert {file for file in [*files, *expected] if file.startswith(package + "/")} == expected
    assert max(files.values()) < LARGEST
    assert points.split() == ["[composer_pl.conditions]", name, "=", f"{package}:{name.title()}"]
    assert ("GNU AFFERO" in terms) is (name == "instances")


@pytest.mark.parametrize("name", NAMES)
def test_metadata_states_licence_range_and_bounded_dependencies(wheels, name):
    facts = metadata(wheels[name])
    assert facts["Name"] == f"composer-pl-{name}"
    licence = "AGPL-3.0-only" if name == "instances" else "Apache-2.0"
    assert facts["License-Expression"] == licence
    assert facts["Requires-Python"] == ">=3.11"
    requirements = {
        requirement.name: {specifier.operator for specifier in requirement.specifier}
        for requirement in map(Requirement, facts.get_all("Requires-Dist"))
    }
    assert "composer-pl" in requirements
    for requirement, operators in requirements.items():
        assert operators == {">=", "<"}, f"{requirement} has no lower or no upper bound"
    assert any("ultralytics" in item for item in requirements) is (name == "instances")
