"""Processes that share the blocks; killed ones lose nothing that was written."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from coco_fakes import write_root
from safetensors import SafetensorError

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.blocks import Shard
from composer_pl.evaluation.coco.processes import _work, check_processes, work_in_processes
from composer_pl.evaluation.coco.run import CocoRun
from composer_pl.evaluation.coco.scores import score
from composer_pl.evaluation.measurement import read_measurements


def pictures_of(folder):
    """Name -> bytes of all pictures."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("pictures/*/*.png"))
    }


def loaded(settings):
    run = CocoRun(settings)
    run.begin()
    return run


@pytest.mark.slow
def test_two_processes_equal_one(settings, place):
    one, two = loaded(settings()), loaded(settings(out=str(place / "two")))
    work_in_processes(one, 1)
    seen = []
    work_in_processes(two, 2, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6)
    assert pictures_of(place / "out") == pictures_of(place / "two")
    for a, b in zip(score(one), score(two), strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-6)


@pytest.mark.slow
def test_a_process_that_cannot_go_on_says_why(settings):
    run = loaded(settings())
    path = run.split.folder / run.split.pictures[0]
    path.write_text("no picture")
    with pytest.raises(UserInputError, match=path.name):
        work_in_processes(run, 2)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (SafetensorError("I/O error: Disk quota exceeded (os error 122)"), "Disk quota exceeded"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_a_process_that_cannot_write_says_why(settings, monkeypatch, error, told):
    """To its parent, and without a traceback."""

    def fail(*_):
        raise error

    monkeypatch.setattr(CocoRun, "work", fail)
    here, there = multiprocessing.Pipe(duplex=False)
    with pytest.raises(SystemExit) as end:
        _work(settings(), Shard(), torch.get_num_threads(), there)
    assert end.value.code == 2
    said = here.recv()
    assert told in said
    assert "Next: mend that and give the command again" in said


def test_a_number_of_processes_that_cannot_be_is_refused():
    for count in (0, 257):
        with pytest.raises(UserInputError, match=f"found {count}"):
            check_processes(count)


@pytest.mark.slow
def test_killed_twice_on_the_way_the_result_is_identical(place):
    """200 captions, two processes, each killed with its parent without a chance to tidy up."""
    write_root(place / "many", 200, per_picture=1, side=32)

    def command(out, processes="2"):
        return [
            *(sys.executable, "-m", "composer_pl", "eval", "coco-fid", "--not-the-protocol"),
            *("--data.root", str(place / "many"), "--ckpt", str(place / "model")),
            *("--out", str(place / out), "--steps", "2", "--block", "8", "--processes", processes),
        ]

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment["OMP_NUM_THREADS"] = "1"
    for wanted in (3, 20):
        process = subprocess.Popen(
            command("killed"), env=environment, start_new_session=True, stderr=subprocess.DEVNULL
        )
        while len(list((place / "killed").rglob("pictures/[0-9]*"))) < wanted:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = pictures_of(place / "killed")
    assert 8 * 20 <= len({name for name in left if "/." not in name}) < 200
    for words in (command("killed"), command("undisturbed", processes="1")):
        subprocess.run(words, env=environment, check=True, capture_output=True)
    killed, undisturbed = (pictures_of(place / out) for out in ("killed", "undisturbed"))
    assert len(undisturbed) == 200
    assert killed == undisturbed
    names = [Path(name).name for name in killed]
    assert len(set(names)) == 200
    assert all(killed[name] == picture for name, picture in left.items() if "/." not in name)
    results = [read_measurements(place / o / "results.jsonl") for o in ("killed", "undisturbed")]
    assert results[0] == results[1]
