"""Quickstart in processes of their own: stopped, killed, started again, and the run is the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from composer_pl.systems.checkpoints import find_last, list_checkpoints, step_of

ROOT = Path(__file__).parents[2]
STEPS, EVERY = 120, 5
SMALLER = f"""
model:
  backbone: {{channels: 8, head_dim: 8, channel_mult: [1, 2], attention_levels: [1]}}
  learning_rate: {{warmup_steps: 5, decay: cosine, decay_steps: {STEPS}}}
  cache_dir: null
data:
  sources: [{{kind: scenes, scenes: {{count: 24, size: 32, rules: {{max_objects: 1}}}}}}]
  batch_size: 4
previews: {{every_n_steps: 0}}
checkpoints: {{every_n_steps: {EVERY}}}
trainer: {{max_steps: {STEPS}, log_every_n_steps: 1, val_check_interval: {STEPS}}}
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path):
    """`start(folder)` begins, or goes on with, the run of a folder: always the same command."""
    (tmp_path / "smaller.yaml").write_text(SMALLER)
    started = []

    def begin(folder):
        command = [
            sys.executable, "-m", "composer_pl", "fit",
            "--config", str(ROOT / "configs" / "quickstart.yaml"), "--config", "smaller.yaml",
            "--trainer.default_root_dir", folder,
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()


def wait_for(path, rows, process):
    """Wait until a curve has so many rows; the process must not end before."""
    for _ in range(30_000):
        if path.is_file() and path.read_text().count("\n") > rows:
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    raise AssertionError(f"{path} did not grow to {rows} rows")


def finish(process):
    _, told = process.communicate(timeout=500)
    assert process.returncode == 0, told
    return told


def test_stopped_and_killed_it_goes_on_to_the_same_end(start, tmp_path):
    finish(start("whole"))
    whole, curve = tmp_path / "whole", tmp_path / "parts" / "metrics.csv"

    process = start("parts")  # Ctrl-C
    wait_for(curve, 12, process)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, told = process.communicate(timeout=100)
    seconds = time.monotonic() - asked
    assert process.returncode == 130
    last = told.strip().splitlines()[-1]
    assert last.startswith("Stopped by Ctrl-C and saved at step ")
    assert last.endswith("smaller.yaml --trainer.default_root_dir parts")
    assert "Traceback" not in told
    assert seconds < 20
    stopped_at = step_of(find_last(tmp_path / "parts"))
    assert 12 <= stopped_at < STEPS
    assert f"saved at step {stopped_at} of {STEPS}" in last
    assert curve.read_text().count("\n") == stopped_at + 1

    process = start("parts")  # kill -9
    wait_for(curve, stopped_at + 12, process)
    process.kill()
    process.communicate(timeout=100)
    reached = curve.read_text().count("\n") - 1
    assert reached < STEPS
    assert step_of(find_last(tmp_path / "parts")) > max(stopped_at, reached - 2 * EVERY)

    told = finish(start("parts"))
    assert "continuing from" in told
    assert curve.read_text() == (whole / "metrics.csv").read_text()
    assert curve.read_text().count("\n") == STEPS + 1
    ends = [torch.load(list_checkpoints(f / "checkpoints")[0]) for f in (whole, curve.parent)]
    for part in ("state_dict", "composer_pl_ema"):
        left, right = (end[part].get("weights", end[part]) for end in ends)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)

    told = finish(start("parts"))
    assert f"is finished: step {STEPS} of {STEPS}" in told
    assert curve.read_text() == (whole / "metrics.csv").read_text()
