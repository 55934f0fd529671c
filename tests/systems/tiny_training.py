"""A real training run in a second: tiny model, fake conditions, generated pictures.

Also a script, for one or several processes of its own:
`python tiny_training.py PICTURES RUN SETTINGS_JSON`.
"""

import json
import os
import sys
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal, FakeRandom
from PIL import Image
from torch.optim import AdamW

from composer_pl.backbones.unet import UNetConfig
from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.systems.checkpoints import AtomicCheckpointIO, Checkpoints
from composer_pl.systems.diffusion import DiffusionSystem
from composer_pl.systems.ema import EMA
from composer_pl.systems.guard import FiniteGuard
from composer_pl.systems.learning_rate import LearningRate
from composer_pl.systems.probe import Probe
from composer_pl.systems.signals import GracefulStop


def make_pictures(folder, count):
    """Write `count` pictures of noise on a gradient; every second one has a caption."""
    folder.mkdir()
    for i in range(count):
        generator = np.random.default_rng(i)
        ramp = np.linspace(0, 160, 40)[:, None, None] * generator.random(3)
        noise = generator.integers(0, 90, (40, 40, 3))
        Image.fromarray((ramp + noise).astype(np.uint8)).save(folder / f"{i:03d}.png")
        if i % 2:
            (folder / f"{i:03d}.txt").write_text(f"a bad cabbage number {i}")
    return folder


def make_system(*, dropout=0.1, eps=1e-8, conditions=None, **options):
    """A model of some thousand weights with all kinds of conditions."""
    if conditions is None:
        conditions = {
            "mean": FakeGlobal(),
            "grey": FakeLocal(),
            "random": FakeRandom(),
            "text": FakeCaption(),
        }
    return DiffusionSystem(
        conditions,
        UNetConfig(
            channels=8,
            channel_mult=(1, 2),
            num_res_blocks=1,
            attention_levels=(1,),
            head_dim=8,
            context_dim=8,
            hint_channels=4,
            hint_scale=2,
            dropout=dropout,
            out_channels=3,
            resolution=16,
        ),
        ProcessConfig(prediction="v"),
        optimizer=lambda p: AdamW(p, lr=3e-3, eps=eps, weight_decay=0.01, fused=True),
        learning_rate=LearningRate(warmup_steps=4, decay="cosine", decay_steps=12),
        **options,
    )


class Recorder(pl.Callback):
    """Notes the loss of every batch, and crashes before a given one."""

    def __init__(self, crash_before=None):
        self.losses = []
        self.crash_before = crash_before

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.crash_before == len(self.losses):
            raise ConnectionError("the machine is gone")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


class SignalAt(pl.Callback):
    """Sends this process a signal in the middle of a batch; with a rank, only that process."""

    def __init__(self, number, batch, rank=None):
        self.number, self.batch, self.rank, self.seen = number, batch, rank, 0

    def on_before_backward(self, trainer, pl_module, loss):
        self.seen += 1
        if self.seen == self.batch and self.rank in (None, trainer.global_rank):
            os.kill(os.getpid(), self.number)


def make_trainer(run, *callbacks, max_steps=12, **options):
    """A trainer as the command line makes it, without its screen output."""
    return pl.Trainer(
        default_root_dir=run,
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        plugins=[AtomicCheckpointIO()],
        callbacks=[*callbacks, FiniteGuard()],
        **options,
    )


def train(
    pictures,
    run,
    *,
    initial_seed=0,
    workers=0,
    batch_size=2,
    accumulate=2,
    every=3,
    max_steps=12,
    crash_before=None,
    ckpt_path=None,
    ema=True,
    more=(),
    read=True,
    dropout=0.1,
    eps=1e-8,
    val_fraction=0.0,
    **trainer_options,
):
    """Train and return (losses of every batch, the last checkpoint's content)."""
    torch.manual_seed(initial_seed)
    system = make_system(dropout=dropout, eps=eps, seed=5)
    data = ComposerDataModule(
        str(pictures),
        canvas=32,
        resolution=16,
        batch_size=batch_size,
        num_workers=workers,
        seed=5,
        crop="random",
        flip=0.5,
        val_fraction=val_fraction,
    )
    recorder = Recorder(crash_before)
    trainer = make_trainer(
        run,
        EMA(decay=0.9, use=ema),
        recorder,
        *more,
        Checkpoints(every_n_steps=every, keep=0),
        max_steps=max_steps,
        accumulate_grad_batches=accumulate,
        **trainer_options,
    )
    try:
        trainer.fit(system, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    except ConnectionError:
        return recorder.losses, None
    if not read:
        return recorder.losses, None
    last = Path(run) / "checkpoints" / f"step-{max_steps:08d}.ckpt"
    return recorder.losses, torch.load(last, weights_only=True)


def assert_equal(left, right, *, tolerance=0.0, path=""):
    """Compare nested plain data; tensors bit for bit unless a tolerance is given."""
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], tolerance=tolerance, path=f"{path}.{key}")
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), path
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_equal(a, b, tolerance=tolerance, path=f"{path}.{i}")
    elif isinstance(left, torch.Tensor):
        if tolerance:
            torch.testing.assert_close(left, right, atol=tolerance, rtol=0, msg=path)
        else:
            assert torch.equal(left, right), path
    elif isinstance(left, float) and tolerance:
        assert abs(left - right) <= tolerance, path
    else:
        assert left == right, path


if __name__ == "__main__":
    settings = json.loads(sys.argv[3])
    if "probe" in settings:
        settings["more"] = (Probe(every_n_steps=settings.pop("probe"), pictures=8, steps=2),)
    if "signal" in settings:
        settings["more"] = (SignalAt(*settings.pop("signal")), GracefulStop())
    losses, _ = train(Path(sys.argv[1]), Path(sys.argv[2]), **settings)
    rank = os.environ.get("LOCAL_RANK", "0")
    (Path(sys.argv[2]) / f"losses-{rank}.json").write_text(json.dumps(losses))
