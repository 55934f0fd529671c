"""The live probe names the condition that a model ignores, and no other."""

import csv
import json
from contextlib import suppress
from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
from fakes import FakeLocal
from lightning.pytorch.loggers import CSVLogger
from test_ddp import SETTINGS, two_processes
from tiny_training import Recorder, make_system, make_trainer
from torch import nn

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.errors import ConfigError
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.plugin import ConditionEncoder, ConditionSignals
from composer_pl.systems.checkpoints import Checkpoints
from composer_pl.systems.ema import EMA
from composer_pl.systems.probe import Probe
from composer_pl.systems.probe_set import gains_of


class Copied(ConditionEncoder):
    """The value itself as the first channel of the hint."""

    def encode(self, value):
        hint = nn.functional.avg_pool2d(value, 2)
        return ConditionSignals(hint=torch.cat([hint, hint.new_zeros(len(hint), 3, 16, 16)], 1))


class Blind(Copied):
    """The same, zeroed."""

    def encode(self, value):
        return ConditionSignals(hint=0 * super().encode(value).hint)


class Oracle(nn.Module):
    """Answers with the picture that the hint asks for, and a little of the noise it was given."""

    def __init__(self, dims):
        super().__init__()
        self.dims, self.scale = dims, nn.Parameter(torch.ones(()))

    def forward(self, x_t, t, signals):
        return self.scale * (signals.hint[:, :1] + 0.1 * x_t)


def oracle_system():
    """A model of two conditions: one is copied to the picture, to the other it is blind."""
    system = make_system(
        conditions={"copied": FakeLocal(), "blind": FakeLocal()},
        sampling=SamplingRecipe(guidance=1.0),
    )
    model = system.model
    model.process = GaussianDiffusion(ProcessConfig(prediction="x_0"))
    model.backbone = Oracle(model.dims)
    model.conditioner.encoders["copied"] = Copied()
    model.conditioner.encoders["blind"] = Blind()
    return system


def probe_of(pictures, run, *, system=None, max_steps=8, more=(), every=2, ckpt_path=None,
             val_fraction=0.5, **options):  # fmt: skip
    """Train with a probe and return it."""
    data = ComposerDataModule(
        str(pictures), canvas=32, resolution=16, batch_size=4, num_workers=0,
        val_fraction=val_fraction, seed=5,
    )  # fmt: skip
    probe = Probe(every_n_steps=every, pictures=10, steps=2)
    trainer = make_trainer(
        run, EMA(decay=0.5), probe, *more, Checkpoints(every_n_steps=2, keep=0),
        max_steps=max_steps, limit_val_batches=0, **options,
    )  # fmt: skip
    system = oracle_system() if system is None else system
    with suppress(ConnectionError):
        trainer.fit(system, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return probe


def warned(err):
    return [line for line in err.splitlines() if "is being" in line]


def test_a_condition_blind_model_is_warned_about_by_name_once(
    fake_plugins, pictures, tmp_path, capsys
):
    probe = probe_of(pictures, tmp_path / "run", max_steps=12)
    lines = warned(capsys.readouterr().err)
    assert len(lines) == 1
    assert lines[0].startswith("Step 6: the condition 'blind' is being ignored: at each of the")
    assert "drop_prob of model.conditions.blind" in lines[0]
    ways = {name: track.way() for name, track in probe.tracks.items()}
    assert ways["copied"].value > 0.8
    assert ways["copied"].low > 0.5
    assert abs(ways["blind"].value) < 0.05
    assert probe.tracks["copied"].steps == [2, 4, 6, 8, 10, 12]


def test_what_a_probe_costs_is_said_before(fake_plugins, pictures, tmp_path, capsys):
    probe_of(pictures, tmp_path / "run", max_steps=1)
    assert ("Probe every 2 steps: 20 pictures, 10 from each condition alone; 40 network "
            "evaluations.") in capsys.readouterr().err  # fmt: skip


def test_a_resumed_run_has_the_history_of_the_whole_one(fake_plugins, pictures, tmp_path, capsys):
    whole = probe_of(pictures, tmp_path / "whole", max_steps=10)
    capsys.readouterr()
    probe_of(pictures, tmp_path / "parts", max_steps=10, more=(Recorder(crash_before=8),))
    assert len(warned(capsys.readouterr().err)) == 1
    ckpt = tmp_path / "parts" / "checkpoints" / "step-00000008.ckpt"
    resumed = probe_of(pictures, tmp_path / "parts", max_steps=10, ckpt_path=ckpt)
    assert warned(capsys.readouterr().err) == []
    for name, track in whole.tracks.items():
        assert resumed.tracks[name].steps == track.steps == [2, 4, 6, 8, 10]
        assert resumed.tracks[name].said == track.said
        assert torch.equal(torch.stack(resumed.tracks[name].gains), torch.stack(track.gains))


def test_a_history_of_other_settings_is_left_behind(fake_plugins, pictures, tmp_path, capsys):
    probe = probe_of(pictures, tmp_path / "run", max_steps=2)
    trainer, same, guided = make_trainer(tmp_path), oracle_system(), oracle_system()
    guided.sampling = replace(guided.sampling, guidance=2.0)
    capsys.readouterr()

    def told(system, **settings):
        other = Probe(every_n_steps=2, **settings)
        other.setup(trainer, system, "fit")
        other.load_state_dict(probe.state_dict())
        said = capsys.readouterr().err
        assert ("begins a new history" in said) != bool(other.tracks)
        return said

    assert told(same, pictures=10, steps=2) == ""
    assert "steps was 2 and is 3." in told(same, pictures=10, steps=3)
    assert "pictures was 10 and is 9." in told(same, pictures=9, steps=2)
    assert "guidance was 1.0 and is 2.0." in told(guided, pictures=10, steps=2)
    off = Probe()
    off.load_state_dict(probe.state_dict())
    assert off.state_dict() == {}


def test_training_is_the_same_with_and_without_a_probe(fake_plugins, pictures, tmp_path):
    losses = {}
    for every in (0, 2):
        recorder = Recorder()
        torch.manual_seed(0)
        probe_of(pictures, tmp_path / str(every), system=make_system(), every=every, max_steps=4,
                 more=(recorder,))  # fmt: skip
        losses[every] = recorder.losses
    assert losses[0] == losses[2]


def test_metrics_are_logged_by_condition(fake_plugins, pictures, tmp_path):
    run = tmp_path / "run"
    system = oracle_system()
    data = ComposerDataModule(str(pictures), canvas=32, resolution=16, batch_size=4,
                              num_workers=0, val_fraction=0.5)  # fmt: skip
    trainer = make_trainer(run, Probe(every_n_steps=3, pictures=8, steps=1), max_steps=3,
                           limit_val_batches=0)  # fmt: skip
    trainer.loggers = [CSVLogger(run, name="csv", version=0)]
    trainer.fit(system, datamodule=data)
    with open(run / "csv" / "version_0" / "metrics.csv", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["probe/seconds"])
    assert row["step"] == "3"
    assert float(row["probe/seconds"]) > 0
    for name in ("copied", "blind"):
        keys = ("adherence", "floor", "ceiling", "way", "way_low", "way_high")
        read = {key: float(row[f"probe/{name}/{key}"]) for key in keys}
        assert read["way_low"] <= read["way"] <= read["way_high"]
        assert read["floor"] < read["ceiling"] <= 1
    assert float(row["probe/copied/adherence"]) > float(row["probe/blind/adherence"])


def test_conditions_that_cannot_be_judged_are_left_out_with_the_reason(
    fake_plugins, pictures, tmp_path, capsys
):
    probe = probe_of(pictures, tmp_path / "run", system=make_system(), max_steps=2)
    err = capsys.readouterr().err
    assert "leaves the condition 'text' out: the true pictures fit their own values no" in err
    assert set(probe.tracks) <= {"mean", "grey", "random"}
    assert {"mean", "grey"} <= set(probe.tracks)


def test_a_run_without_held_out_pictures_goes_on_and_says_so(
    fake_plugins, pictures, tmp_path, capsys
):
    probe = probe_of(pictures, tmp_path / "run", max_steps=2, val_fraction=0.0)
    assert probe.tracks == {}
    assert "there are no held-out pictures" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_every_precision_can_be_probed(fake_plugins, pictures, tmp_path, precision):
    probe = probe_of(pictures, tmp_path / "run", system=make_system(), max_steps=2,
                     precision=precision)  # fmt: skip
    assert probe.tracks["grey"].gains[0].isfinite().all()


def test_gains_leave_out_what_picture_and_value_bring_by_themselves():
    count, shifts = 9, 5
    of_picture, of_value = torch.randn(2, count, dtype=torch.float64).unbind(0)
    knows = torch.rand(count, dtype=torch.float64)

    def ring(share, last):
        rows = [of_picture + of_value.roll(-shift) for shift in range(last + 1)]
        rows[0] = rows[0] + share * knows
        return torch.stack(rows)

    # Against all others only a share of what is easy is left, which vanishes with their number.
    rest = (of_picture - of_picture.mean() + of_value - of_value.mean()) / (count - 1)
    torch.testing.assert_close(gains_of(ring(0.0, count - 1)), rest)
    for last in (shifts, count - 1):
        assert float(gains_of(ring(0.0, last)).mean()) == pytest.approx(0, abs=1e-12)
        gained = gains_of(ring(1.0, last)) - gains_of(ring(0.0, last))
        torch.testing.assert_close(gained, knows)
    scores = ring(1.0, shifts)
    expected = float(scores[0].mean() - scores[1:].mean())
    assert float(gains_of(scores).mean()) == pytest.approx(expected)


def test_wrong_settings_are_refused():
    for name, value in {"every_n_steps": -1, "pictures": 3, "steps": 0, "patience": 0}.items():
        with pytest.raises(ConfigError, match=rf"probe\.{name}"):
            Probe(**{name: value})


def test_a_model_without_conditions_of_its_own_is_refused(tmp_path):
    trainer = make_trainer(tmp_path)
    with pytest.raises(ConfigError, match="a base model was expected"):
        Probe(every_n_steps=2).setup(trainer, pl.LightningModule(), "fit")
    Probe().setup(trainer, pl.LightningModule(), "fit")


@pytest.mark.slow  # two processes
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_probe_once_and_do_not_wait_for_ever(fake_plugins, pictures, tmp_path):
    shape = {"accumulate": 1, "val_fraction": 0.5, "probe": 3, "max_steps": 6}
    settings = {**SETTINGS["float32"], **shape, "batch_size": 2, "devices": 2, "strategy": "ddp"}
    two_processes(pictures, tmp_path / "run", settings)
    saved = torch.load(tmp_path / "run" / "checkpoints" / "step-00000006.ckpt", weights_only=True)
    state = next(value for key, value in saved["callbacks"].items() if "Probe" in key)
    assert state["tracks"]["grey"]["steps"] == [3, 6]
    assert json.dumps(state["settings"])
