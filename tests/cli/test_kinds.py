"""Kinds of models on the command line: a tiny upsampler is trained, continued and refused."""

from pathlib import Path

import pytest

from composer_pl.cli import main
from composer_pl.cli.kinds import KINDS, kind_of_run
from composer_pl.errors import ConfigError
from composer_pl.models.storage import load_upsampler

TINY = """
kind: upsampler
model:
  backbone: {channels: 8, channel_mult: [1, 2], num_res_blocks: 1, attention_levels: [1],
             head_dim: 8, context_dim: 0, hint_channels: 0, hint_scale: 1, dropout: 0.0,
             in_channels: 6, out_channels: 3, resolution: 32, trained_side: 16}
  process: {prediction: v}
  upsampling: {factor: 4, degradation: bsr_light}
  sampling: {steps: 1}
data:
  canvas: 32
  batch_size: 4
  num_workers: 0
  val_fraction: 0.3
  sources: [{kind: scenes, scenes: {count: 12, size: 32}}]
previews: {every_n_steps: 2, pictures: 1}
checkpoints: {every_n_steps: 2}
trainer: {max_steps: 2, accelerator: cpu, log_every_n_steps: 1}
"""
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("up.yaml").write_text(TINY)
    return tmp_path


def test_an_upsampler_is_trained_continued_and_sampled(place, capsys):
    assert main(["fit", "--config", "up.yaml"]) == 0
    told = capsys.readouterr().err
    assert "an upsampler from 8 to 32 px, trained on crops of 16 px" in told
    folder = place / "runs" / "up"
    assert (folder / "samples" / "step-00000002.png").exists()
    model = load_upsampler(folder / "checkpoints" / "step-00000002.ckpt")
    assert model.upsampling.degradation == "bsr_light"
    saved = ["--config", str(folder / "config.yaml"), "--ckpt_path", "last"]
    saved += ["--trainer.default_root_dir", str(folder)]
    assert main(["fit", *saved, "--trainer.max_steps", "3"]) == 0
    assert main(["predict", *saved, "--trainer.limit_predict_batches", "1"]) == 0
    assert list((folder / "predictions").glob("*.png"))
    capsys.readouterr()
    other = ["validate", *saved, "--model.upsampling.factor", "2"]
    assert main(other) == 2
    assert "model.upsampling.factor is 2, in the checkpoint 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "upsampel"], "did you mean 'upsampler'?"),
        (["--kind", "base"], "no option 'model.upsampling'"),
        (["--model.upsampling.facter", "4"], "did you mean 'model.upsampling.factor'?"),
        (["--model.upsampling.factor", "9"], "factor must be from 2 to 8, found 9"),
        (["--model.backbone.trained_side", "15"], "trained_side must be 0, or a multiple of 2"),
        (["--model.backbone.attention_reach", "windws"], "attention_reach"),
        (["--model.upsampling.degradation", "jpg"], "degradation"),
        (["--model.start", "nowhere"], "nothing there"),
    ],
)
def test_a_mistake_is_one_line(place, capsys, arguments, message):
    assert main(["fit", "--config", "up.yaml", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "Next:" in told
    assert "\n" not in told


def test_the_kind_is_base_unless_it_is_named(place):
    assert kind_of_run([]) == "base"
    assert kind_of_run(["--config", "up.yaml"]) == "upsampler"
    assert kind_of_run(["--config", "up.yaml", "--kind", "base"]) == "base"
    assert kind_of_run(["--config", "absent.yaml"]) == "base"  # the parser tells of the file
    with pytest.raises(ConfigError, match=r"Reading kind of .*expected one of base, upsampler"):
        kind_of_run(["--kind", "x"])


def test_every_kind_has_a_system_with_a_seed():
    from inspect import signature

    for kind in KINDS.values():
        assert "seed" in signature(kind.load_system().__init__).parameters
