"""A run whose disk fills up, in this process: `python full_disk.py FOLDER disk|limit [LEFT]`.

FOLDER is empty. With `disk` it lies on a small file system of its own, which a
file fills until LEFT bytes are left; with `limit` no file of this process may grow beyond half a
checkpoint. Prints JSON.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

from PIL import Image

ARGUMENTS = ["fit", "--config", "tiny.yaml", "--data.root", "pictures"]


TINY = """
model:
  backbone: {channels: 16, channel_mult: [1, 2], num_res_blocks: 1, attention_levels: [1],
             head_dim: 8, context_dim: 8, hint_channels: 4, hint_scale: 2,
             out_channels: 3, resolution: 16}
  conditions: {mean: {class_path: fakes.FakeGlobal}}
  sampling: {steps: 2}
data: {canvas: 32, batch_size: 4, num_workers: 0, val_fraction: 0.3}
previews: {every_n_steps: 2, pictures: 2}
checkpoints: {every_n_steps: 2}
trainer: {max_steps: 4, accelerator: cpu, log_every_n_steps: 1}
"""


def prepare():
    """Write tiny.yaml and pictures/ into the working folder."""
    Path("tiny.yaml").write_text(TINY)
    Path("pictures").mkdir()
    for i in range(16):
        Image.new("RGB", (40, 40), (i * 15, 255 - i * 15, 99)).save(f"pictures/{i:02d}.png")


def fit(*arguments):
    """(exit code, what was told)."""
    from composer_pl.cli import main

    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        return main([*ARGUMENTS, *arguments]), told.getvalue()


@contextlib.contextmanager
def largest_file(size):
    """No file of this process may grow beyond `size` bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def filled(left):
    """The file system of this folder has `left` bytes left."""
    filler = Path("filler")
    with filler.open("wb") as file:
        while (free := os.statvfs(".").f_bavail * os.statvfs(".").f_frsize) > left:
            file.write(b"\0" * min(65536, max(free - left, 1)))
            file.flush()
    try:
        yield
    finally:
        filler.unlink()


def story(mode, left=None):
    """Train four steps, fail to go on, go on; facts of each chapter."""
    prepare()
    facts = {}
    facts["first"] = fit()
    run = Path("runs/tiny")
    last = run / "checkpoints" / "step-00000004.ckpt"
    before, record = last.read_bytes(), (run / "config.yaml").read_bytes()
    shortage = largest_file(len(before) // 2) if mode == "limit" else filled(left)
    more = ("--ckpt_path", "last", "--trainer.max_steps", "6")
    with shortage:
        facts["failed"] = fit(*more)
    from composer_pl.systems.checkpoints import AtomicCheckpointIO

    facts["step"] = AtomicCheckpointIO().load_checkpoint(last)["global_step"]
    facts["same"] = last.read_bytes() == before
    facts["record"] = record.count(b"\n") <= (run / "config.yaml").read_bytes().count(b"\n")
    facts["files"] = sorted(path.name for path in last.parent.iterdir())
    facts["debris"] = sorted(
        str(p) for p in run.rglob(f"*{os.getpid()}*") if "tfevents" not in p.name
    )
    facts["again"] = fit(*more)
    facts["end"] = (run / "checkpoints" / "step-00000006.ckpt").is_file()
    return facts


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.path.insert(0, str(Path(__file__).parents[1]))  # for `import fakes`
    given = int(sys.argv[3]) if len(sys.argv) > 3 else None
    print(json.dumps(story(sys.argv[2], given)))
