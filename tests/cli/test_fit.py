"""`fit`, `validate`, `test` and `predict` from the command line, with fake conditions."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from composer_pl.cli import main
from composer_pl.cli.fit import configured, run_folder
from composer_pl.models.storage import load_model

ROOT = Path(__file__).parents[2]
TINY = """
seed_everything: 3
model:
  backbone: {channels: 8, channel_mult: [1, 2], num_res_blocks: 1, attention_levels: [1],
             head_dim: 8, context_dim: 8, hint_channels: 4, hint_scale: 2,
             out_channels: 3, resolution: 16}
  process: {prediction: v}
  conditions:
    mean: {class_path: fakes.FakeGlobal}
    text: {class_path: fakes.FakeCaption, init_args: {drop_prob: 0.2}}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.003, fused: true}}
  learning_rate: {warmup_steps: 2}
  sampling: {steps: 2}
data: {canvas: 32, batch_size: 4, num_workers: 0, val_fraction: 0.3}
ema: {decay: 0.9}
previews: {every_n_steps: 2, pictures: 2}
probe: {every_n_steps: 2, pictures: 4, steps: 1}
checkpoints: {every_n_steps: 2}
trainer: {max_steps: 4, accelerator: cpu, precision: bf16-mixed, gradient_clip_val: 1.0,
          log_every_n_steps: 2}
"""


@pytest.fixture
def place(fake_plugins, tmp_path, monkeypatch):
    """A working folder with tiny.yaml and pictures/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "pictures").mkdir()
    for i in range(16):
        Image.new("RGB", (40, 40), (i * 15, 255 - i * 15, 99)).save(f"pictures/{i:02d}.png")
        Path(f"pictures/{i:02d}.txt").write_text("a bad cab")
    return tmp_path


def run(command, *arguments):
    return main([command, "--config", "tiny.yaml", "--data.root", "pictures", *arguments])


def test_a_run_leaves_its_record_and_is_continued_validated_and_sampled(place, capfd):
    assert run("fit") == 0
    folder = place / "runs" / "tiny"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["checkpoints", "config.yaml", "csv", "metrics.csv", "samples", "tensorboard"]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "step-00000002.ckpt",
        "step-00000004.ckpt",
    ]
    assert (folder / "samples" / "step-00000004.png").exists()
    with open(folder / "csv" / "version_0" / "metrics.csv") as file:
        columns = set(next(csv.reader(file)))
    assert {"train/loss", "train/loss_with/mean", "images_per_second", "val/loss"} <= columns
    assert {"train/loss_noise/0.00-0.25", "gradient_norm", "learning_rate"} <= columns
    assert "probe/seconds" in columns
    told = capfd.readouterr().err
    assert "step 4/4" in told
    assert "images/s" in told
    assert "Probe every 2 steps: 8 pictures, 4 from each condition alone" in told
    assert "The probe leaves the condition 'text' out" in told

    assert run("fit") == 2  # would mix two runs in one folder
    assert "--ckpt_path last" in capfd.readouterr().err

    assert run("fit", "--ckpt_path", "last", "--trainer.max_steps", "6") == 0
    assert "continuing from" in capfd.readouterr().err
    last = folder / "checkpoints" / "step-00000006.ckpt"
    assert torch.load(last, weights_only=True)["composer_pl_ema"]["updates"] == 6
    assert load_model(last).names == ("mean", "text")

    assert run("validate", "--ckpt_path", "last") == 0
    assert "val/loss " in capfd.readouterr().out
    assert run("test", "--ckpt_path", str(last)) == 0
    assert "test/loss " in capfd.readouterr().out
    assert run("predict", "--ckpt_path", "last") == 0
    assert list((folder / "predictions").glob("*.png"))


def test_the_saved_config_repeats_the_run_exactly(place):
    assert run("fit", "--trainer.default_root_dir", "a") == 0
    saved = yaml.safe_load((place / "a" / "config.yaml").read_text())
    assert saved["ckpt_path"] is None
    again = ["fit", "--config", "a/config.yaml", "--trainer.default_root_dir", "b"]
    assert main(again) == 0
    a, b = (torch.load(place / x / "checkpoints" / "step-00000004.ckpt") for x in "ab")
    assert all(torch.equal(value, b["state_dict"][key]) for key, value in a["state_dict"].items())


def test_evaluation_uses_the_averaged_weights_of_a_checkpoint(place):
    from composer_pl.systems.diffusion import DiffusionSystem

    assert run("fit") == 0
    checkpoint = torch.load("runs/tiny/checkpoints/step-00000004.ckpt")
    model = load_model("runs/tiny/checkpoints/step-00000004.ckpt")
    system = DiffusionSystem(model.plugins, model.config, model.process_config)
    system.on_load_checkpoint(checkpoint)
    for name, value in model.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][f"model.{name}"], value)


def test_a_later_config_and_then_the_command_line_override(place):
    (place / "more.yaml").write_text(
        "model:\n  learning_rate:\n    warmup_steps: 7\nema: {decay: 0.5}\n"
    )
    config = configured(
        ["--config", "tiny.yaml", "--config", "more.yaml", "--ema.decay", "0.25"], prog="test"
    ).config
    assert config["model"]["learning_rate"]["warmup_steps"] == 7
    assert config["ema"]["decay"] == 0.25
    assert config["model"]["backbone"]["channels"] == 8
    assert config["data"]["resolution"] == 16


def test_an_override_reaches_inside_a_condition(place):
    config = configured(
        ["--config", "tiny.yaml", "--model.conditions.text.drop_prob", "0.9"], prog="test"
    ).config
    assert config["model"]["conditions"]["text"].init_args.drop_prob == 0.9
    assert config["model"]["conditions"]["mean"].class_path.endswith("FakeGlobal")


def test_conditions_may_be_a_file_relative_to_the_config_that_names_it(place):
    (place / "sets").mkdir()
    (place / "sets" / "one.yaml").write_text("mean:\n  class_path: fakes.FakeGlobal\n")
    (place / "sets" / "user.yaml").write_text("model:\n  conditions: one.yaml\n")
    config = configured(["--config", "tiny.yaml", "--config", "sets/user.yaml"], prog="test").config
    names = [name for name in config["model"]["conditions"] if not name.startswith("__")]
    assert names == ["mean"]


def test_a_run_with_conditions_from_a_file_trains(place):
    Path("one.yaml").write_text("mean:\n  class_path: fakes.FakeGlobal\n")
    assert run("fit", "--model.conditions", "one.yaml", "--previews.every_n_steps", "0") == 0
    assert load_model("runs/tiny/checkpoints/step-00000004.ckpt").names == ("mean",)


def test_the_committed_condition_sets_name_installed_plugins():
    from composer_pl.conditions.discovery import discover

    for path in sorted((ROOT / "configs" / "conditions").glob("*.yaml")):
        for name, entry in yaml.safe_load(path.read_text()).items():
            assert entry["class_path"].startswith(f"composer_pl_{name}.")
            assert name in discover()


def test_print_config_prints_the_whole_configuration(place, capsys):
    assert run("fit", "--print_config") == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["conditions"]["mean"]["class_path"].endswith("FakeGlobal")
    assert printed["ema"]["use"] is True


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_an_evaluation_without_a_checkpoint_says_how_to_name_one(place, capsys, command):
    assert run(command) == 2
    assert "--ckpt_path last" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_refused_in_one_line(place, capsys):
    assert run("fit", "--previews.every_n_steps", "0") == 0
    capsys.readouterr()
    assert run("validate", "--ckpt_path", "last", "--model.backbone.channels", "16") == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model.backbone.channels is 16, in the checkpoint 8" in told


def test_the_run_folder_is_named_after_the_last_config():
    assert run_folder(None, ["configs/base.yaml", "mine.yaml"]) == Path("runs/mine")
    assert run_folder("elsewhere", ["mine.yaml"]) == Path("elsewhere")


def test_the_module_of_the_router_imports_no_torch():
    code = "import sys, composer_pl.cli.fit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
