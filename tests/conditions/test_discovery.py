import logging
import subprocess
import sys

import pytest

from composer_pl.conditions import discovery
from composer_pl.conditions.manifest import fits
from composer_pl.errors import (
    BrokenPluginError,
    CheckpointError,
    ConfigError,
    DuplicatePluginError,
    IncompatiblePluginError,
    UnknownConditionError,
)

BROKEN = {
    "missing_module": "import no_such_library_anywhere",
    "syntax_error": "def broken(:",
    "calls_exit": "import sys; sys.exit(3)",
    "raises_base": "raise BaseException('odd')",
    "no_class": "Condition = None",
    "not_a_plugin": "class Condition: pass",
    "abstract": (
        "from composer_pl.plugin import ConditionPlugin\n"
        "class Condition(ConditionPlugin):\n    scope = 'local'\n"
    ),
    "bad_scope": "import fakes\nclass Condition(fakes.FakeLocal):\n    scope = 'middle'\n",
    "bad_canvas": "import fakes\nclass Condition(fakes.FakeLocal):\n    canvas = -1\n",
    "bad_inputs": "import fakes\nclass Condition(fakes.FakeLocal):\n    inputs = 'image'\n",
    "bad_weights": "import fakes\nclass Condition(fakes.FakeLocal):\n    weights = ['x']\n",
}


@pytest.fixture
def broken_plugins(install):
    files = {f"broken_{name}.py": text for name, text in BROKEN.items()}
    points = {name: f"broken_{name}:Condition" for name in BROKEN}
    install("composer-pl-broken", points, version="2.3", files=files)


def test_metadata_is_the_manifest(fake_plugins):
    entry = discovery.discover()["fake_local"]
    assert entry == discovery.PluginEntry(
        name="fake_local",
        distribution="composer-pl-fakes",
        version="1.0",
        license="MIT",
        requires=">=0.1",
        reference="fakes:FakeLocal",
    )
    assert entry.problem == ""


def test_listing_imports_neither_torch_nor_a_plugin():
    code = (
        "import sys; from composer_pl.conditions import discovery; discovery.discover();"
        "print([name for name in sys.modules if name.split('.')[0] in"
        "('torch', 'numpy', 'jaxtyping', 'typing_extensions') or name.startswith('composer_pl_')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_harms_nobody_else(broken_plugins, fake_plugins, name):
    with pytest.raises(BrokenPluginError, match=r"composer-pl-broken 2\.3") as caught:
        discovery.load(name)
    assert repr(name) in str(caught.value)
    assert caught.value.__cause__ is not None
    assert discovery.load("fake_local").scope == "local"
    assert name in discovery.discover()


def test_an_interrupt_while_importing_is_an_interrupt(install):
    install(
        "composer-pl-slow", {"slow": "slow_one:X"}, files={"slow_one.py": "raise KeyboardInterrupt"}
    )
    with pytest.raises(KeyboardInterrupt):
        discovery.load("slow")


def test_an_unknown_name_is_answered_with_the_nearest(fake_plugins):
    with pytest.raises(UnknownConditionError, match="did you mean 'fake_local'"):
        discovery.load("fake_locl")


def test_a_misspelt_name_never_becomes_a_package_to_install(fake_plugins):
    with pytest.raises(UnknownConditionError) as caught:
        discovery.load("fake_locl")
    assert "pip install composer-pl-fake_locl" not in str(caught.value)


def test_two_packages_claiming_one_name_are_refused_on_use_and_marked_in_listings(
    install, fake_plugins
):
    install("another-package", {"fake_local": "elsewhere:Local"})
    entry = discovery.discover()["fake_local"]
    assert {entry.distribution, *entry.rivals} == {"another-package", "composer-pl-fakes"}
    assert "also claimed by" in entry.problem
    with pytest.raises(DuplicatePluginError, match="another-package and composer-pl-fakes"):
        discovery.load("fake_local")
    assert discovery.load("fake_global").scope == "global"


def test_a_package_found_twice_on_the_path_is_no_rival_of_itself(install, monkeypatch, tmp_path):
    install("composer-pl-twice", {"twice": "fakes:FakeLocal"})
    copy = tmp_path / "copy" / "composer_pl_twice-0.9.dist-info"
    copy.mkdir(parents=True)
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: Composer.PL_twice\nVersion: 0.9\n")
    (copy / "entry_points.txt").write_text("[composer_pl.conditions]\ntwice = fakes:FakeLocal\n")
    sys.path.append(str(copy.parent))
    try:
        assert discovery.find("twice").version == "1.0"
    finally:
        sys.path.remove(str(copy.parent))


def test_a_plugin_for_another_version_is_refused_before_import(install):
    install("composer-pl-future", {"future": "future_one:X"}, requires="composer-pl<10,>=9.1")
    assert "requires composer-pl <10,>=9.1" in discovery.discover()["future"].problem
    with pytest.raises(IncompatiblePluginError, match="pip install --upgrade composer-pl-future"):
        discovery.load("future")


@pytest.mark.parametrize(
    ("requires", "installed", "fit"),
    [
        ("", "0.1.0", True),
        (">=0.1,<0.2", "0.1.7", True),
        (">=0.1,<0.2", "0.2.0", False),
        (">=0.2", "0.2.0.dev1", True),
        ("<0.2", "0.2.0.dev1", False),
        ("@ https://example.org/x.whl", "0.1.0", True),
    ],
)
def test_version_ranges(requires, installed, fit):
    assert fits(requires, installed) is fit


def test_a_name_that_is_no_identifier_is_refused(install):
    install("composer-pl-odd", {"odd-name": "fakes:FakeLocal"})
    assert discovery.discover()["odd-name"].problem == "the name is no Python identifier"
    with pytest.raises(ConfigError, match="odd-name"):
        discovery.load("odd-name")


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("none", set()),
        ("fake_local", {"fake_local"}),
        (" fake_local , fake_global", {"fake_local", "fake_global"}),
    ],
)
def test_the_environment_restricts_what_is_found(fake_plugins, monkeypatch, setting, found):
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", setting)
    assert set(discovery.discover()) == found


def test_damaged_metadata_of_a_stranger_harms_nobody(fake_plugins, tmp_path):
    info = tmp_path / "site" / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"[composer_pl.conditions]\n\xff\xfe = = x\n")
    assert "fake_local" in discovery.discover()


@pytest.mark.parametrize("metadata", [None, b"\xff\xfe\x00 no text", b""])
def test_a_package_without_readable_metadata_is_listed_and_harms_nobody(
    fake_plugins, tmp_path, metadata
):
    info = tmp_path / "site" / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[composer_pl.conditions]\nwind = fakes:FakeLocal\n")
    if metadata is not None:
        (info / "METADATA").write_bytes(metadata)
    found = discovery.discover()
    assert found["wind"].distribution == "unknown"
    assert found["fake_local"].version == "1.0"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("License-Expression: MIT\nClassifier: License :: Other\n", "MIT"),
        ("License: Apache 2.0\n", "Apache 2.0"),
        ("Classifier: License :: OSI Approved :: MIT License\n", "MIT License"),
        ("Classifier: Programming Language :: Python\n", ""),
    ],
)
def test_the_licence_is_found_wherever_metadata_states_it(install, tmp_path, lines, found):
    install("composer-pl-old", {"old": "x:Y"})
    (tmp_path / "site" / "composer_pl_old-1.0.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: composer-pl-old\nVersion: 1.0\n{lines}"
    )
    assert discovery.discover()["old"].license == found


def test_a_condition_that_the_environment_leaves_out_is_not_called_absent(
    fake_plugins, monkeypatch
):
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "fake_local")
    with pytest.raises(UnknownConditionError) as caught:
        discovery.find("fake_global")
    assert "COMPOSER_PL_PLUGINS" in str(caught.value)
    assert "pip install" not in str(caught.value)


def test_a_plugin_is_described_and_rebuilt_through_its_entry_point(fake_plugins):
    plugin = discovery.load("fake_global")(drop_prob=0.25, tokens=3)
    description = discovery.describe(plugin)
    assert description == {
        "plugin": "fake_global",
        "distribution": "composer-pl-fakes",
        "version": "1.0",
        "init_args": {"drop_prob": 0.25, "tokens": 3},
    }
    assert discovery.rebuild(description) == plugin


def test_a_class_that_no_package_provides_is_not_described():
    from fakes import FakeLocal

    with pytest.raises(ConfigError, match="entry-point group"):
        discovery.describe(FakeLocal())


def test_rebuilding_without_the_package_names_it(fake_plugins):
    description = {"plugin": "wind", "distribution": "windy-lib", "version": "3", "init_args": {}}
    with pytest.raises(UnknownConditionError, match="pip install windy-lib`"):
        discovery.rebuild(description)


@pytest.mark.parametrize("name", ["os:system", "fakes:FakeLocal", "os.system", "../fakes", ""])
def test_rebuilding_never_follows_an_import_path(fake_plugins, name):
    with pytest.raises(UnknownConditionError):
        discovery.rebuild({"plugin": name, "distribution": "-r x", "init_args": {}})


def test_an_install_command_holds_only_a_package_name(fake_plugins):
    record = {
        "plugin": "wind --index-url=http://x",
        "distribution": "--index-url=http://x y",
        "version": "1 --index-url=http://x",
        "init_args": {},
    }
    with pytest.raises(UnknownConditionError) as caught:
        discovery.rebuild(record)
    assert "pip install" not in str(caught.value)
    record["plugin"], record["init_args"] = "fake_local", {"unknown": 1}
    with pytest.raises(CheckpointError) as caught:
        discovery.rebuild(record)
    assert "`pip install composer-pl-fakes`" in str(caught.value)


@pytest.mark.parametrize("record", [{}, {"plugin": 3, "init_args": {}}, {"plugin": "a"}])
def test_a_malformed_description_is_a_checkpoint_error(record):
    with pytest.raises(CheckpointError, match="expected a record"):
        discovery.rebuild(record)


def test_arguments_of_another_version_are_a_checkpoint_error(fake_plugins):
    description = {
        "plugin": "fake_local",
        "distribution": "composer-pl-fakes",
        "version": "0.7",
        "init_args": {"wind": 3},
    }
    with pytest.raises(CheckpointError, match=r"pip install composer-pl-fakes==0\.7"):
        discovery.rebuild(description)


def test_the_same_name_from_another_package_is_another_representation(fake_plugins):
    record = {
        "plugin": "fake_local",
        "distribution": "other-depth",
        "version": "2",
        "init_args": {},
    }
    with pytest.raises(CheckpointError, match=r"from other-depth, found composer-pl-fakes 1\.0"):
        discovery.rebuild(record)
    record["distribution"] = "Composer.PL_fakes"  # the same package, spelt otherwise
    assert discovery.rebuild(record).scope == "local"


@pytest.mark.parametrize(
    ("version", "told"), [("1.0", False), ("1.9.2", False), ("0.9", True), ("2.0", True)]
)
def test_another_series_of_a_package_is_told(fake_plugins, caplog, version, told):
    record = {"plugin": "fake_local", "distribution": "composer-pl-fakes", "version": version}
    with caplog.at_level(logging.WARNING):
        discovery.rebuild({**record, "init_args": {}})
    assert (f"made with composer-pl-fakes {version}" in caplog.text) is told


def test_values_that_a_constructor_refuses_are_a_checkpoint_error(install):
    text = (
        "import fakes\n"
        "class Strict(fakes.FakeLocal):\n"
        "    def __init__(self, *, size: int = 1):\n"
        "        self.size = int(size)\n"
    )
    install("composer-pl-strict", {"strict": "strict_one:Strict"}, files={"strict_one.py": text})
    record = {"plugin": "strict", "distribution": "composer-pl-strict", "version": "1.0"}
    with pytest.raises(CheckpointError, match="do not fit composer-pl-strict"):
        discovery.rebuild({**record, "init_args": {"size": "large"}})
