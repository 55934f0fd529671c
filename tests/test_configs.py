"""Every committed configuration parses and builds; the paper's trains a step at reduced width."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from composer_pl.cli.fit import configured
from composer_pl.cli.plan import _settings
from composer_pl.models.base import ComposerModel

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def parsed(config, *overrides):
    return configured(["--config", str(config), *overrides], prog="composer-pl fit").config


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_parses_and_its_model_builds(config):
    section = parsed(config)["model"].as_dict()
    backbone, process, conditions, _ = _settings(section)
    with torch.device("meta"):
        model = ComposerModel(backbone, process, conditions)
    assert model.names == tuple(section["conditions"])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_begins_with_its_command_hardware_and_expectation(config):
    comment = [line for line in config.read_text().splitlines() if line.startswith("#")]
    text = " ".join(comment)
    assert comment[0].startswith(f"# composer-pl fit --config configs/{config.name}")
    assert "Hardware:" in text
    assert "Expected:" in text
    assert "${" not in config.read_text(), "no interpolation"


def test_an_override_reaches_every_value_that_depends_on_it():
    config = parsed(ROOT / "configs" / "photos.yaml", "--model.backbone.resolution", "32")
    assert config["data"]["resolution"] == 32
    config = parsed(ROOT / "configs" / "photos.yaml", "--seed_everything", "9")
    assert (config["model"]["seed"], config["data"]["seed"]) == (9, 9)


def test_the_paper_config_trains_a_step_at_reduced_width():
    section = parsed(ROOT / "configs" / "base.yaml")["model"].as_dict()
    backbone, process, conditions, _ = _settings(section)
    torch.manual_seed(0)
    small = replace(backbone, channels=32, head_dim=32, num_res_blocks=1, resolution=32)
    model = ComposerModel(small, process, conditions)
    side = small.resolution * small.hint_scale
    values = {}
    for name, plugin in conditions.items():
        shape = [side if isinstance(axis, str) else axis for axis in plugin.spec.shape]
        values[name] = torch.rand(2, *shape)
    for name in ("caption", "semantics"):  # CLIP embeddings have one stated length
        value = values[name]
        values[name] = value / value.norm(dim=-1, keepdim=True) * value.shape[-1] ** 0.5
    keep = torch.ones(8, 2, dtype=torch.bool)
    x_0, eps, t = (
        torch.rand(2, 3, 32, 32) * 2 - 1,
        torch.randn(2, 3, 32, 32),
        torch.tensor([99, 800]),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(3):
        loss = model.loss(x_0, values, keep, t, eps).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
