import multiprocessing
import os
import signal
import subprocess
import sys

import lightning.pytorch as pl
import pytest
from tiny_training import SignalAt, make_system, make_trainer, train

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.systems.checkpoints import Checkpoints, list_checkpoints
from composer_pl.systems.signals import GracefulStop


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


class SignalToGroup(pl.Callback):
    """Has another process signal this one and all of its data workers, as a scheduler does."""

    def __init__(self, number):
        self.number = number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 4:  # the first half of the third optimiser step
            workers = [str(process.pid) for process in multiprocessing.active_children()]
            assert len(workers) == 2
            code = f"import os, sys; [os.kill(int(pid), {self.number}) for pid in sys.argv[1:]]"
            subprocess.run([sys.executable, "-c", code, *workers, str(os.getpid())], check=True)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="needs POSIX real-time signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_data_workers_outlive_a_signal_to_the_whole_group(fake_plugins, pictures, tmp_path, number):
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    run = tmp_path / "run"
    more = (SignalToGroup(int(number)), GracefulStop())
    before, _ = train(pictures, run, workers=2, every=100, max_steps=9, more=more, read=False)
    for other, handler in handlers.items():
        signal.signal(other, handler)
    assert len(before) == 2 * 3
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000003.ckpt"]
