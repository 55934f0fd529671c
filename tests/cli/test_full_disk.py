"""A disk that fills up while training: one line, and nothing of the run is lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import full_disk  # noqa: E402

resource = pytest.importorskip("resource", reason="limits of files are a matter of POSIX")


@pytest.fixture
def place(fake_plugins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_survived(facts, reason):
    first, failed, again = (tuple(facts[name]) for name in ("first", "failed", "again"))
    assert first[0] == 0, first[1]
    code, told = failed
    assert code == 2, told
    assert "Traceback" not in told
    complaint = [line for line in told.splitlines() if "Next:" in line]
    assert len(complaint) == 1, told
    assert reason in complaint[0]
    assert complaint[0].endswith("Next: free space there, then go on with --ckpt_path last.")
    assert told.rstrip().endswith(complaint[0])
    assert facts["same"], "the checkpoint before is as it was"
    assert facts["step"] == 4
    assert facts["record"]
    assert facts["files"] == ["step-00000002.ckpt", "step-00000004.ckpt"]
    assert facts["debris"] == []
    assert again[0] == 0, again[1]
    assert "step-00000004.ckpt" in again[1]
    assert facts["end"]


@pytest.mark.slow  # three runs; tests/systems/test_checkpoints.py has the file alone
def test_a_checkpoint_that_is_not_taken_leaves_the_one_before_it(place):
    assert_survived(full_disk.story("limit"), "File too large")


def can_mount():
    if not shutil.which("unshare"):
        return False
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 40_000])
def test_a_file_system_that_is_full_leaves_the_run_whole(place, left):
    if not can_mount():
        pytest.skip("needs a file system of its own: neither root nor user namespaces are there")
    small = place / "small"
    small.mkdir()
    script = 'mount -t tmpfs -o size=24m tmpfs "$1" && exec "$2" "$3" "$1" disk "$4"'
    words = [str(small), sys.executable, str(HERE / "full_disk.py"), str(left)]
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *words],
        env={**os.environ, "PYTHONPATH": str(place / "site"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert_survived(json.loads(ended.stdout.splitlines()[-1]), "No space left on device")
