import hashlib
import json
import os
import sys

import pytest

from composer_pl.cli import main
from composer_pl.plugin.digests import weights_folder

DATA = b"weights" * 500
SHA = hashlib.sha256(DATA).hexdigest()

WEIGHTY = '''
from fakes import FakeLocal
from composer_pl.plugin import WeightSpec, resolve_weights

def spec(name, url, sha, converted=""):
    return WeightSpec(
        name=name, url=url, sha256=sha, size=3500, license="MIT", origin="A page",
        converted=converted,
    )

class Weighty(FakeLocal):
    """A picture through a network that is not there."""

    weights = (
        spec("a.bin", "{url}", "{sha}", converted="a.safetensors"),
        spec("b.bin", "{url}", "{sha}"),
        spec("c.bin", "", ""),
    )

    def weights_in_use(self):
        return self.weights[:1]

    @classmethod
    def convert_weights(cls, spec, source, target):
        target.write_bytes(source.read_bytes())

    def build_extractor(self):
        resolve_weights(self.weights[0], condition="weighty", convert=self.convert_weights)
        return super().build_extractor()
'''


@pytest.fixture
def weighty(install, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(DATA)
    text = WEIGHTY.replace("{url}", source.as_uri()).replace("{sha}", SHA)
    install(
        "composer-pl-weighty", {"weighty": "weighty_one:Weighty"}, files={"weighty_one.py": text}
    )
    return source


def cached():
    folder = weights_folder()
    return {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()


def test_list_as_json_is_the_manifest_and_imports_nothing(install, capsys):
    install("composer-pl-mine", {"mine": "never_imported:Mine"})
    assert main(["plugins", "list", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert records["mine"] == {
        "name": "mine",
        "distribution": "composer-pl-mine",
        "version": "1.0",
        "license": "MIT",
        "requires": ">=0.1",
        "reference": "never_imported:Mine",
        "rivals": [],
        "problem": "",
    }
    assert "never_imported" not in sys.modules


def test_list_marks_what_cannot_be_used(install, capsys):
    install("composer-pl-old", {"old": "x:Y"}, requires="composer-pl<0.1")
    install("composer-pl-one", {"both": "x:Y"})
    install("composer-pl-two", {"both": "x:Y"})
    assert main(["plugins", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "! requires composer-pl <0.1" in lines["old"]
    assert "! also claimed by composer-pl-two" in lines["both"]


def test_list_of_nothing_says_how_to_get_some(monkeypatch, capsys):
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "none")
    assert main(["plugins", "list"]) == 0
    assert "pip install" in capsys.readouterr().out


def test_show_tells_arguments_and_weights(weighty, capsys):
    assert main(["plugins", "show", "weighty"]) == 0
    shown = capsys.readouterr().out
    for fact in (
        "weighty: composer-pl-weighty 1.0, licence MIT",
        "A picture through a network that is not there.",
        "drop_prob = 0.5",
        "scope         local",
        "value         (1, H, W) float32 in [-1, 1]",
        "a.bin: 3.5 kB, licence MIT",
        "missing, not used by the default settings",
        SHA,
        str(weights_folder() / "a.bin"),
    ):
        assert fact in shown


def test_show_of_a_misspelt_name_is_one_line(weighty, capsys):
    assert main(["plugins", "show", "wieghty"]) == 2
    shown = capsys.readouterr()
    assert "did you mean 'weighty'?" in shown.err
    assert "Showing the condition" in shown.err
    assert shown.err.count("\n") == 1


def test_show_of_a_broken_plugin_tells_what_metadata_knows(install, capsys):
    install("composer-pl-bad", {"bad": "bad_one:X"}, files={"bad_one.py": "1 / 0"})
    assert main(["plugins", "show", "bad"]) == 2
    shown = capsys.readouterr()
    assert "composer-pl-bad 1.0" in shown.out
    assert "ZeroDivisionError" in shown.err


def test_fetch_gets_and_converts_what_the_default_settings_use(weighty, capsys):
    assert main(["plugins", "fetch", "weighty"]) == 0
    assert cached() == {"a.bin", "a.safetensors"}
    assert "3.5 kB, licence MIT" in capsys.readouterr().out


def test_fetch_of_one_file(weighty):
    assert main(["plugins", "fetch", "weighty", "--file", "b.bin"]) == 0
    assert cached() == {"b.bin"}


def test_fetch_of_all_names_what_a_user_must_supply(weighty, capsys):
    assert main(["plugins", "fetch", "weighty", "--all"]) == 2
    assert cached() == {"a.bin", "a.safetensors", "b.bin"}
    assert "c.bin" in capsys.readouterr().err


def test_fetch_from_disk_recognises_a_file_by_its_digest(weighty, tmp_path):
    (tmp_path / "download.tmp").write_bytes(DATA)
    assert main(["plugins", "fetch", "weighty", "--from", str(tmp_path / "download.tmp")]) == 0
    assert "a.safetensors" in cached()


def test_fetch_from_disk_recognises_a_file_by_its_name(weighty, tmp_path):
    (tmp_path / "c.bin").write_bytes(b"from a person")
    assert main(["plugins", "fetch", "weighty", "--from", str(tmp_path / "c.bin")]) == 0
    assert cached() == {"c.bin"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--from", "absent.bin"], "found no file absent.bin"),
        (["--from", __file__], "name what it stands for with --file"),
        (["--file", "b.bni"], "did you mean 'b.bin'?"),
        (["--file", "a.bin", "--from", __file__], "expected sha256"),
    ],
)
def test_fetch_of_the_wrong_file_is_one_line(weighty, capsys, words, expected):
    assert main(["plugins", "fetch", "weighty", *words]) == 2
    shown = capsys.readouterr().err
    assert expected in shown
    assert shown.count("\n") == 1
    assert cached() == set()


def test_fetch_of_nothing_names_what_other_settings_use(install, capsys):
    text = WEIGHTY.replace("{url}", "").replace("{sha}", SHA).replace("[:1]", "[:0]")
    install("composer-pl-idle", {"idle": "idle_one:Weighty"}, files={"idle_one.py": text})
    assert main(["plugins", "fetch", "idle"]) == 0
    assert "default settings; others use a.bin, b.bin, c.bin" in capsys.readouterr().out


@pytest.fixture
def shipped(install, tmp_path):
    """A plugin whose default weights lie in its own package."""
    place = tmp_path / "package" / "a.bin"
    place.parent.mkdir()
    place.write_bytes(DATA)
    text = WEIGHTY.replace("{url}", "").replace("{sha}", SHA)
    text = text.replace('converted="a.safetensors"', f"packaged={str(place)!r}")
    text = text.replace("converted=converted", "packaged=packaged")
    text = text.replace('converted=""', 'packaged=""')
    install(
        "composer-pl-shipped", {"shipped": "shipped_one:Weighty"}, files={"shipped_one.py": text}
    )
    return place


def test_weights_that_a_package_ships_are_shown_and_never_fetched(shipped, capsys):
    assert main(["plugins", "show", "shipped"]) == 0
    shown = capsys.readouterr().out
    assert f"    state       here\n    place       {shipped}\n" in shown
    assert "    from        shipped with the package\n" in shown
    assert main(["plugins", "fetch", "shipped"]) == 0
    shown = capsys.readouterr().out
    assert "shipped with the package: there is nothing to fetch" in shown
    assert f"ready: {shipped}" in shown
    assert cached() == set()


def test_weights_that_a_package_ships_are_not_replaced_from_disk(shipped, tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"another")
    assert main(["plugins", "fetch", "shipped", "--from", str(tmp_path / "a.bin")]) == 2
    shown = capsys.readouterr().err
    assert "a.bin is shipped with the package, found --from" in shown
    assert shown.count("\n") == 1
    assert shipped.read_bytes() == DATA


def test_fetch_of_shipped_weights_that_are_gone_is_one_line(shipped, capsys):
    shipped.unlink()
    assert main(["plugins", "fetch", "shipped"]) == 2
    shown = capsys.readouterr().err
    assert "shipped inside its package. Next: reinstall that package." in shown
    assert shown.count("\n") == 1


def test_fetch_without_weights_says_so(fake_plugins, capsys):
    assert main(["plugins", "fetch", "fake_local"]) == 0
    assert "needs no weights" in capsys.readouterr().out


def test_check_prints_a_line_for_each_check(weighty, monkeypatch, capsys):
    from composer_pl.plugin.checks import declared

    monkeypatch.setattr(declared, "loaded_by", lambda statement: [])  # seconds; tested elsewhere
    assert main(["plugins", "check", "weighty"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ok    dropped is exactly nothing" in lines
    skipped = next(line for line in lines if line.startswith("skip  extracted values match"))
    assert "composer-pl plugins fetch weighty" in skipped
    assert lines[-1].startswith("weighty: ")
    assert "0 failed" in lines[-1]


def test_check_fails_with_the_rule_that_is_broken(install, monkeypatch, capsys):
    from composer_pl.plugin.checks import declared

    monkeypatch.setattr(declared, "loaded_by", lambda statement: ["scipy"])
    text = (
        "import fakes\n"
        "class Odd(fakes.FakeLocal):\n"
        "    def distance(self, value, other):\n"
        "        return super().distance(value, other) + 1\n"
    )
    install("composer-pl-odd", {"odd": "odd_one:Odd"}, files={"odd_one.py": text})
    assert main(["plugins", "check", "odd"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  distance is zero for equal and positive for different: " in shown
    assert "loads scipy" in shown
    assert "2 failed" in shown


def test_check_heeds_no_settings_of_the_users_pytest(fake_plugins, monkeypatch, capsys):
    from composer_pl.plugin.checks import declared

    monkeypatch.setattr(declared, "loaded_by", lambda statement: [])
    monkeypatch.setenv("PYTEST_ADDOPTS", "-q --no-such-option")
    assert main(["plugins", "check", "fake_global"]) == 0
    assert "0 failed, 0 skipped" in capsys.readouterr().out
    assert os.environ["PYTEST_ADDOPTS"] == "-q --no-such-option"


def test_check_of_what_has_no_default_settings_is_one_line(install, capsys):
    text = (
        "import fakes\n"
        "class Needy(fakes.FakeLocal):\n"
        "    def __init__(self, *, file: str):\n"
        "        self.file = file\n"
    )
    install("composer-pl-needy", {"needy": "needy_one:Needy"}, files={"needy_one.py": text})
    assert main(["plugins", "check", "needy"]) == 2
    shown = capsys.readouterr().err
    assert "found Needy(*, file: str)" in shown
    assert shown.count("\n") == 1
    assert main(["plugins", "show", "needy"]) == 0
    assert "argument      file" in capsys.readouterr().out


def test_check_without_pytest_names_it(fake_plugins, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pytest", None)
    assert main(["plugins", "check", "fake_local"]) == 2
    assert "pip install pytest" in capsys.readouterr().err
