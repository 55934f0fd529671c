"""`composer-pl doctor`: it answers whatever is broken, and says what mends it."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from composer_pl.cli import doctor, main
from composer_pl.cli.doctor import machine, packages, plugin_probe, plugins, probe
from composer_pl.cli.doctor.findings import Finding
from composer_pl.folders import weights_folder

WEIGHTY = """
from pathlib import Path
from fakes import FakeLocal
from composer_pl.plugin import WeightSpec

def spec(name, **more):
    return WeightSpec(name=name, url="https://example.org/" + name, sha256="ab" * 32, size=7,
                      license="MIT", origin="A page", **more)

class Weighty(FakeLocal):
    weights = (spec("a.bin"), spec("b.bin"),
               spec("c.bin", packaged=str(Path(__file__).with_name("c.bin"))))

    def weights_in_use(self):
        return self.weights[:1]
"""


def report(capsys, *words):
    """(exit code, {name: [records]}) of a run with --json."""
    code = main(["doctor", "--json", *words])
    found = {}
    for record in json.loads(capsys.readouterr().out)["findings"]:
        found.setdefault(record["name"], []).append(record)
    return code, found


def only(findings, state):
    return [finding for finding in findings if finding.state == state]


@pytest.mark.slow  # imports torch anew
def test_with_every_plugin_broken_each_is_named_with_its_package_and_error(
    install, monkeypatch, capsys
):
    broken = {
        "raises": "import a_library_that_is_absent",
        "exits": "import sys; sys.exit('I am leaving')",
        "dies": "import os; os._exit(7)",
        "hangs": "import time; time.sleep(300)",
        "chatters": "print('hello\\n' * 3); Thing = 5",
    }
    for name, text in broken.items():
        install(f"composer-pl-{name}", {name: f"{name}_one:Thing"}, files={f"{name}_one.py": text})
    install("composer-pl-old", {"old": "old_one:Thing"}, requires="composer-pl<0.1")
    install("composer-pl-two", {"both": "x:Y"})
    install("composer-pl-three", {"both": "x:Y"})
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", ",".join([*broken, "old", "both"]))
    monkeypatch.setattr(probe, "PLUGIN_SECONDS", 2.0)
    code, found = report(capsys)
    assert code == 1
    expected = {
        "raises": "a_library_that_is_absent",
        "exits": "I am leaving",
        "dies": "ended the process (code 7)",
        "hangs": "did not end in 2 s",
        "chatters": "must name a ConditionPlugin class, found 5",
        "old": "requires composer-pl <0.1",
        "both": "composer-pl-three and composer-pl-two",
    }
    for name, words in expected.items():
        (record,) = found[f"plugin {name}"]
        assert record["state"] == "broken"
        assert words in record["text"]
        assert name == "both" or f"composer-pl-{name}" in record["text"]
        assert "pip " in record["next"]
    assert found["torch"][0]["state"] == "ok", "torch is none of their victims"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise OSError('libcudart.so.99: cannot open shared object file')", "libcudart.so.99"),
        ("import os; os._exit(3)", "code 3"),
    ],
)
def test_a_broken_torch_is_one_finding_among_the_others(
    fake_plugins, tmp_path, monkeypatch, capsys, text, words
):
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "fake_local")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    torch = next(line for line in shown.splitlines() if " torch " in line)
    assert torch.startswith("BROKEN")
    assert words in torch
    assert "composer-pl-fakes 1.0, licence MIT; not looked at, as torch" in shown
    assert "cache" in shown


def test_this_process_imports_no_torch():
    code = (
        "import sys, composer_pl.cli.doctor as d; from composer_pl.cli.doctor import probe\n"
        "probe.ask = lambda names: {'torch': {'error': 'left out'}}\n"
        "assert len(list(d.examine())) > 8\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("broken", 1)])
def test_only_what_is_broken_fails(monkeypatch, capsys, state, code):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("a thing", state, "as it is", "do it")])
    assert main(["doctor"]) == code
    assert "Next: do it." in capsys.readouterr().out


def test_a_check_that_fails_itself_stops_no_other(monkeypatch):
    monkeypatch.setattr(probe, "ask", lambda names: {"torch": {"error": "left out"}})
    monkeypatch.setattr(packages, "lightning", lambda: 1 / 0)
    found = {finding.name: finding for finding in doctor.examine()}
    assert "ZeroDivisionError" in found["lightning"].text
    assert found["lightning"].state == "broken"
    assert "memory" in found


# -- packages --------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(name, version, *requirements)`: metadata that hides the installed one."""

    def write(name, version, *requirements):
        info = tmp_path / "hiding" / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = "".join(f"Requires-Dist: {text}\n" for text in requirements)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}"
        )
        monkeypatch.syspath_prepend(str(tmp_path / "hiding"))

    return write


def test_a_torchvision_of_another_torch_is_named_with_the_command(package):
    package("torch", "2.15.0")
    package("torchvision", "0.27.1", "numpy", "torch (==2.12.1)", "torch-thing (==1)")
    (finding,) = packages.torchvision()
    assert finding.state == "broken"
    assert finding.text == "0.27.1: it asks for torch ==2.12.1, found 2.15.0"
    assert finding.next_step == "`pip install --upgrade torch==2.15.0 torchvision`"


@pytest.mark.parametrize(
    ("torch", "torchvision", "asked", "fits"),
    [
        ("2.12.1+cu126", "0.27.1+cu126", "==2.12.1", True),
        ("2.12.1", "0.27.1", "==2.12.0", False),
        ("2.15.0", "0.29.2", ">=2.14.0", True),
        ("2.13.0", "0.29.2", ">=2.14.0", False),
        ("2.8.0", "0.23.0", "", True),
        ("2.9.0", "0.23.0", "", False),
        ("2.12.1+cpu", "0.27.1+cu126", "==2.12.1", False),
    ],
)
def test_pairs_are_told_by_what_torchvision_asks_for(torch, torchvision, asked, fits):
    assert (packages.mismatch(torch, torchvision, asked) == "") is fits


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_the_malicious_releases_of_lightning_are_known(package, version):
    package("lightning", version)
    first = packages.lightning()[0]
    assert first.state == "broken"
    assert "malicious" in first.text
    assert "pip uninstall lightning" in first.next_step


def test_a_library_in_the_wrong_version_is_told_with_its_range(package):
    package("safetensors", "0.1.0")
    (finding,) = packages.composer_pl()
    assert finding.state == "broken"
    assert "safetensors is 0.1.0 instead of" in finding.text
    assert "safetensors<0.9,>=0.8" in finding.next_step


# -- machine ---------------------------------------------------------------------------------------

Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_is_broken_for_work_and_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40, 5 * 2**20))
    for finding in (*machine.working_folder(tmp_path), *machine.cache(tmp_path / "cache")):
        assert finding.state == "broken"
        assert "5 MiB free" in finding.text
        assert "free space" in finding.next_step


def test_a_cache_that_is_a_file_is_broken(tmp_path):
    (tmp_path / "file").write_text("x")
    (finding,) = machine.cache(tmp_path / "file" / "weights")
    assert finding.state == "broken"
    assert "COMPOSER_PL_CACHE" in finding.next_step


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which nobody may write to")
def test_a_cache_where_nothing_can_be_made_is_broken_for_root_too(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 0, 2**40))
    (finding,) = machine.cache(Path("/proc/composer-pl"))
    assert finding.state == "broken"


def test_a_cache_on_a_read_only_disk_is_broken(tmp_path, monkeypatch):
    def read_only(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", read_only)
    (finding,) = machine.cache(tmp_path)
    assert finding.state == "broken"
    assert "Read-only file system" in finding.text


def test_a_cache_tells_how_much_it_holds(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"0" * 2048)
    (finding,) = machine.cache(tmp_path)
    assert "1 files, 2 KiB" in finding.text


def test_little_shared_memory_is_noted(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(64 * 2**20, 0, 64 * 2**20))
    (finding,) = machine.shared_memory("/")
    assert finding.state == "note"
    assert "64 MiB" in finding.text
    assert "--data.num_workers 0" in finding.next_step
    assert machine.shared_memory("/no/such/folder") == []


def test_switches_are_told_and_misspelt_ones_found():
    found = {
        finding.name: finding
        for finding in machine.switches(
            {
                "HF_HUB_OFFLINE": "1",
                "COMPOSER_PL_ALLOW_DOWNLOADS": "yes",
                "COMPOSER_PL_PLUGIN": "none",
                "COMPOSER_PL_TEST_DATA": "photos",
            }
        )
    }
    assert found["HF_HUB_OFFLINE"].state == "ok"
    assert "taken for no" in found["COMPOSER_PL_ALLOW_DOWNLOADS"].text
    assert "did you mean 'COMPOSER_PL_PLUGINS'?" in found["COMPOSER_PL_PLUGIN"].text
    assert len(found) == 3


def test_more_threads_than_processors_are_noted():
    (finding,) = machine.threads(str(4 * (os.cpu_count() or 1)))
    assert finding.state == "note"
    assert finding.next_step == f"`export OMP_NUM_THREADS={machine.usable_processors()}`"
    assert machine.threads("many")[0].state == "note"


@pytest.mark.parametrize(
    ("cuda", "device", "state", "words"),
    [
        ("13.2", {"name": "H100", "free": 2**30, "total": 2**31}, "ok", "H100, 1 GiB free of 2"),
        ("13.2", {"driver": True, "error": "driver too old"}, "broken", "driver too old"),
        (None, {"driver": True}, "note", "built without CUDA"),
        (None, {"mps": True}, "ok", "MPS"),
        ("13.2", {}, "ok", "no GPU"),
    ],
)
def test_devices(cuda, device, state, words):
    found = {"torch": {"cuda": cuda, "threads": 2}, "device": device}
    (finding,) = probe.device_findings(found)
    assert finding.state == state
    assert words in finding.text


# -- plugins and models ----------------------------------------------------------------------------


@pytest.fixture
def weighty(install, monkeypatch, tmp_path):
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "weighty")
    install(
        "composer-pl-weighty", {"weighty": "weighty_doc:Weighty"}, files={"weighty_doc.py": WEIGHTY}
    )
    (tmp_path / "site" / "c.bin").write_bytes(b"shipped")
    return tmp_path / "site"


def look():
    return about_plugins({"plugins": {"weighty": plugin_probe.look("weighty")}})


def about_plugins(found):
    """Without the note of what the environment leaves out."""
    return [f for f in plugins.plugin_findings(found) if f.name != "plugins"]


def test_missing_weights_are_noted_with_the_command_that_fetches_them(weighty):
    first, missing = look()
    assert first.state == "ok"
    assert "composer-pl-weighty 1.0, licence MIT; a.bin missing" in first.text
    assert missing.state == "note"
    assert missing.next_step == "`composer-pl plugins fetch weighty --file a.bin`"


def test_weights_in_the_cache_are_told(weighty):
    weights_folder().mkdir()
    (weights_folder() / "a.bin").write_bytes(b"7 bytes")
    (finding,) = look()
    assert "a.bin cached" in finding.text


def test_a_wrong_file_in_the_cache_is_broken(weighty):
    weights_folder().mkdir()
    (weights_folder() / "a.bin").write_bytes(b"cut")
    (finding,) = only(look(), "broken")
    assert "a file of 3 bytes instead of 7" in finding.text
    assert "fetch weighty --file a.bin" in finding.next_step


def test_a_package_that_lost_its_shipped_file_is_broken(weighty):
    (weighty / "c.bin").unlink()
    (finding,) = only(look(), "broken")
    assert "should be shipped at" in finding.text
    assert "--force-reinstall --no-deps composer-pl-weighty" in finding.next_step


def test_a_library_that_a_plugin_lacks_is_told_without_importing_it(install, monkeypatch):
    install("composer-pl-poor", {"poor": "poor_one:X"}, requires="no-such-library>=3")
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "poor")
    (finding,) = about_plugins({})
    assert finding.state == "broken"
    assert "no-such-library is not installed" in finding.text
    assert finding.next_step == "`pip install 'no-such-library>=3'`"
    assert "poor_one" not in sys.modules


def test_what_the_environment_leaves_out_is_noted(weighty, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "none")
    (finding,) = plugins.plugin_findings({})
    assert finding.state == "note"
    assert "weighty" in finding.text


@pytest.mark.parametrize("damage", ["none", "cut", "config", "absent"])
def test_shipped_models_are_held_to_their_headers(fake_plugins, tmp_path, damage):
    import torch
    from safetensors.torch import save_file

    folder = tmp_path / "pretrained" / "tiny"
    folder.mkdir(parents=True)
    plugin = "elsewhere" if damage == "absent" else "fake_local"
    description = {"conditions": {"a": {"plugin": plugin, "distribution": "composer-pl-fakes"}}}
    (folder / "config.json").write_text(json.dumps(description) if damage != "config" else "{")
    save_file({"weight": torch.zeros(10)}, folder / "model.safetensors")
    if damage == "cut":
        os.truncate(folder / "model.safetensors", 90)
    (finding,) = plugins.shipped_models(tmp_path / "pretrained")
    assert finding.name == "model tiny"
    expected = {"none": "ok", "cut": "broken", "config": "broken", "absent": "note"}
    assert finding.state == expected[damage]
    if damage == "absent":
        assert finding.next_step == "`pip install composer-pl-fakes`"


def test_what_this_package_ships_is_whole_and_the_judge_is_no_model():
    from composer_pl.evaluation.scenes.judge import judge_file
    from composer_pl.models.pretrained import pretrained_names

    found = plugins.shipped_models()
    assert judge_file().parent == plugins.SHIPPED / plugins.JUDGE
    names = {f"model {name}" for name in pretrained_names()} | {f"judge {plugins.JUDGE}"}
    assert {finding.name for finding in found} == names
    assert not only(found, "broken")


def test_a_damaged_judge_is_broken(tmp_path):
    (tmp_path / plugins.JUDGE).mkdir()
    (tmp_path / plugins.JUDGE / "model.safetensors").write_bytes(b"cut")
    (finding,) = plugins.shipped_models(tmp_path)
    assert (finding.name, finding.state) == (f"judge {plugins.JUDGE}", "broken")
    assert "--force-reinstall" in finding.next_step


def test_nothing_is_broken_on_an_untouched_tree(monkeypatch, capsys):
    from composer_pl.conditions.manifest import discover

    healthy = {
        "torch": {"version": "2.12.1", "cuda": None, "threads": 2},
        "device": {},
        "plugins": {name: {"weights": []} for name in discover()},
    }
    monkeypatch.setattr(probe, "ask", lambda names: healthy)
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "BROKEN" not in shown
    assert shown.endswith("Nothing is broken.\n")


def test_no_shipped_model_is_no_problem(tmp_path):
    (finding,) = plugins.shipped_models(tmp_path / "absent")
    assert finding.state == "ok"
