import os
import signal

import lightning.pytorch as pl
import pytest
from tiny_training import make_system, make_trainer, train

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.systems.checkpoints import Checkpoints, list_checkpoints
from composer_pl.systems.signals import GracefulStop


class SignalAt(pl.Callback):
    """Sends this process a signal in the middle of a batch."""

    def __init__(self, number, batch):
        self.number, self.batch, self.seen = number, batch, 0

    def on_before_backward(self, trainer, pl_module, loss):
        self.seen += 1
        if self.seen == self.batch:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_stops_at_the_step_boundary_with_a_checkpoint(
    fake_plugins, pictures, tmp_path, number
):
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    stop = GracefulStop()
    trainer = make_trainer(
        tmp_path / "run",
        SignalAt(number, 5),  # the first half of the third optimiser step
        stop,
        Checkpoints(every_n_steps=100),
        accumulate_grad_batches=2,
    )
    data = ComposerDataModule(
        str(pictures), canvas=32, resolution=16, batch_size=2, num_workers=0, val_fraction=0.0
    )
    trainer.fit(make_system(), datamodule=data)
    assert stop.signal == number
    assert trainer.global_step == 3
    saved = [path.name for path in list_checkpoints(tmp_path / "run" / "checkpoints")]
    assert saved == ["step-00000003.ckpt"]
    for other, handler in handlers.items():
        if other != number:
            assert signal.getsignal(other) == handler
        signal.signal(other, handler)


def test_a_stopped_run_continues_exactly(fake_plugins, pictures, tmp_path):
    losses, _ = train(pictures, tmp_path / "whole", every=100)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    run = tmp_path / "run"
    before, _ = train(
        pictures, run, every=100, more=(SignalAt(signal.SIGTERM, 5), GracefulStop()), read=False
    )
    for number, handler in handlers.items():
        signal.signal(number, handler)
    ckpt = run / "checkpoints" / "step-00000003.ckpt"
    after, _ = train(pictures, run, every=100, ckpt_path=ckpt)
    assert before + after == losses
