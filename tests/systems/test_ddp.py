"""Two processes train what one process trains, given the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import assert_equal, train

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_gloo_available(), reason="needs torch.distributed with gloo"
)
# Without the network's own dropout, whose draws belong to a process. And with an eps above rounding
# errors: biases in front of a group norm have no true gradient, and Adam with its usual 1e-8 blows
# the rounding errors that are left there up to whole steps. They do not change what is computed.
SETTINGS = {"dropout": 0.0, "eps": 1e-3}
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
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    ranks = [json.loads((run / f"losses-{rank}.json").read_text()) for rank in (0, 1)]
    checkpoint = torch.load(run / "checkpoints" / "step-00000012.ckpt", weights_only=True)
    return ranks, checkpoint


def test_two_ddp_processes_equal_one_process(fake_plugins, pictures, tmp_path):
    one, single = train(pictures, tmp_path / "one", batch_size=4, accumulate=1, **SETTINGS)
    ranks, double = two_processes(
        pictures,
        tmp_path / "two",
        {"batch_size": 2, "accumulate": 1, "devices": 2, "strategy": "ddp", **SETTINGS},
    )
    means = [(a + b) / 2 for a, b in zip(*ranks, strict=True)]
    assert len(one) == 12
    assert_equal(one, means, tolerance=1e-6)
    for part in ("state_dict", "composer_pl_ema"):
        assert_equal(single[part], double[part], tolerance=1e-6, path=part)


def test_accumulation_equals_one_large_batch(fake_plugins, pictures, tmp_path):
    large, whole = train(pictures, tmp_path / "a", batch_size=4, accumulate=1, **SETTINGS)
    small, parts = train(pictures, tmp_path / "b", batch_size=2, accumulate=2, **SETTINGS)
    # Lightning reports an accumulated batch's share of the step's loss.
    sums = [a + b for a, b in zip(small[::2], small[1::2], strict=True)]
    assert_equal(large, sums, tolerance=1e-6)
    for part in ("state_dict", "composer_pl_ema"):
        assert_equal(whole[part], parts[part], tolerance=1e-6, path=part)
