"""Shared fixtures: one thread, a private cache, no downloads, tiny conditions and sizes."""

import os
import sys
from pathlib import Path

import pytest
import torch

from composer_pl.types import BackboneDims

# `import fakes` must work in every test, also in the worker processes of a data loader.
sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config):
    torch.set_num_threads(1)  # two busy threads on two shared cores are ten times slower


def pytest_collection_modifyitems(items):
    """Skip, with the reason, what this machine cannot run."""
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    no_data = pytest.mark.skip(reason="COMPOSER_PL_TEST_DATA names no folder of real photos")
    folder = os.environ.get("COMPOSER_PL_TEST_DATA")
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        if item.get_closest_marker("data") and not (folder and Path(folder).is_dir()):
            item.add_marker(no_data)


@pytest.fixture(autouse=True)
def seeded():
    """Draws without a generator are the same in every run and order of tests."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def private_environment(tmp_path, monkeypatch):
    """No test sees the user's weights or settings, or downloads."""
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "weights-cache"))
    # A loaded machine must not add lines to what a test reads.
    monkeypatch.setattr("composer_pl.cli.telling.EVERY", 600.0)
    for name in ("COMPOSER_PL_ALLOW_DOWNLOADS", "COMPOSER_PL_PLUGINS", "COMPOSER_PL_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No test reaches anything but this machine."""
    from blocked import PROXIES, guarded_test

    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with guarded_test():
        yield


@pytest.fixture
def test_data():
    """The folder of real photos; for tests marked `data`."""
    return Path(os.environ["COMPOSER_PL_TEST_DATA"])


@pytest.fixture
def dims():
    """A tiny backbone's wishes."""
    return BackboneDims(time_dim=16, context_dim=8, hint_channels=4, hint_scale=2)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """`install(distribution, {name: "module:Class"}, ...)`: package metadata on sys.path."""
    folder = tmp_path / "site"

    def write(distribution, points, *, version="1.0", requires="composer-pl>=0.1", files=()):
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {distribution}\nVersion: {version}\n"
            f"License-Expression: MIT\nRequires-Dist: {requires}\n"
            'Requires-Dist: nothing; extra == "more"\n'
        )
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[composer_pl.conditions]\n{lines}")
        for name, text in dict(files).items():
            (folder / name).write_text(text)
        if str(folder) not in sys.path:
            monkeypatch.syspath_prepend(str(folder))

    before = set(sys.modules)
    yield write
    for name in set(sys.modules) - before:  # throw-away modules of one test
        module = sys.modules[name]
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def fake_plugins(install):
    """The fakes, discoverable: fake_global, fake_local, fake_random, fake_caption."""
    classes = ("FakeGlobal", "FakeLocal", "FakeRandom", "FakeCaption")
    install(
        "composer-pl-fakes",
        {f"fake_{name.removeprefix('Fake').lower()}": f"fakes:{name}" for name in classes},
    )
