"""Two processes train what one process trains, given the same global batch."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import assert_equal, train

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_gloo_available(), reason="needs torch.distributed with gloo"
)
# Without the network's own dropout, whose draws belong to a process.
#
# Biases in front of a group norm have no true gradient: what is left there are rounding errors, of
# 1e-9 in float32, and Adam with its usual eps of 1e-8 makes steps of them. They do not change what
# is computed, but the weights differ. So equality is shown twice: in float32 with an eps above the
# rounding errors, and with the optimiser as it is where the rounding errors are below its eps.
SETTINGS = {
    "float32": {"dropout": 0.0, "eps": 1e-3},
    "float64": {"dropout": 0.0, "precision": "64-true"},
}
TOLERANCE = {"float32": 1e-6, "float64": 1e-8}
SCRIPT = Path(__file__).with_name("tiny_training.py")


def two_processes(pictures, run, settings):
    """Launch the script; Lightning starts the second process itself."""
    paths = [str(SCRIPT.parent), str(SCRIPT.parent.parent), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(pictures), str(run), json.dumps(settings)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,  # a hang, not a busy machine
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads((run / f"losses-{rank}.json").read_text()) for rank in (0, 1)]


def saved(run, step):
    return torch.load(run / "checkpoints" / f"step-{step:08d}.ckpt", weights_only=True)


def means(ranks):
    return [(a + b) / 2 for a, b in zip(*ranks, strict=True)]


@pytest.mark.slow  # three processes
@pytest.mark.parametrize("digits", SETTINGS)
def test_two_ddp_processes_equal_one_process(fake_plugins, pictures, tmp_path, digits):
    settings, tolerance = SETTINGS[digits], TOLERANCE[digits]
    one, single = train(pictures, tmp_path / "one", batch_size=4, accumulate=1, **settings)
    two = {"batch_size": 2, "accumulate": 1, "devices": 2, "strategy": "ddp", **settings}
    ranks = two_processes(pictures, tmp_path / "two", two)
    double = saved(tmp_path / "two", 12)
    assert len(one) == 12
    assert_equal(one, means(ranks), tolerance=tolerance)
    for part in ("state_dict", "composer_pl_ema"):
        assert_equal(single[part], double[part], tolerance=tolerance, path=part)
    assert single["state_dict"]["model.conditioner.presence"].dtype == getattr(torch, digits)


@pytest.mark.parametrize("digits", SETTINGS)
def test_accumulation_equals_one_large_batch(fake_plugins, pictures, tmp_path, digits):
    settings, tolerance = SETTINGS[digits], TOLERANCE[digits]
    large, whole = train(pictures, tmp_path / "a", batch_size=4, accumulate=1, **settings)
    small, parts = train(pictures, tmp_path / "b", batch_size=2, accumulate=2, **settings)
    # Lightning reports an accumulated batch's share of the step's loss.
    sums = [a + b for a, b in zip(small[::2], small[1::2], strict=True)]
    assert_equal(large, sums, tolerance=tolerance)
    for part in ("state_dict", "composer_pl_ema"):
        assert_equal(whole[part], parts[part], tolerance=tolerance, path=part)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_of_two_processes_stops_both_at_one_step(
    fake_plugins, pictures, tmp_path, rank
):
    run, settings = tmp_path / "run", SETTINGS["float32"]
    two = {"batch_size": 2, "accumulate": 1, "devices": 2, "strategy": "ddp", "every": 100}
    stopped = {**two, **settings, "max_steps": 40, "read": False}
    ranks = two_processes(pictures, run, {**stopped, "signal": [signal.SIGTERM, 3, rank]})
    # The processes agree at every tenth step, so that their steps need not wait for a broadcast.
    assert [len(losses) for losses in ranks] == [10, 10]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000010.ckpt"]
    whole, _ = train(pictures, tmp_path / "one", batch_size=4, accumulate=1, **settings)
    after, _ = train(
        pictures, run, batch_size=4, accumulate=1, every=100, **settings,
        ckpt_path=run / "checkpoints" / "step-00000010.ckpt",
    )  # fmt: skip
    assert_equal(whole, means(ranks) + after, tolerance=1e-6)
