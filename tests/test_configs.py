"""Every committed configuration parses and builds; the paper's trains a step at reduced width."""

from pathlib import Path

import pytest
import torch

from composer_pl.cli.fit import configured, quieten
from composer_pl.cli.kinds import KINDS
from composer_pl.cli.planners import base_settings, upsampler_settings
from composer_pl.cli.training import ComposerCLI
from composer_pl.conditions.dropout import expected_keep_rates
from composer_pl.models.base import ComposerModel
from composer_pl.models.upsampler import UpsamplerModel

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def parsed(config, *overrides):
    return configured(["--config", str(config), *overrides], prog="composer-pl fit").config


def meta_upsampler(section):
    backbone, process, upsampling = upsampler_settings(section)
    return UpsamplerModel(backbone, process, {}, upsampling)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_parses_and_its_model_builds(config):
    parsed_config = parsed(config)
    section = parsed_config["model"].as_dict()
    if parsed_config["kind"] == "upsampler":
        with torch.device("meta"):
            upsampler = meta_upsampler(section)
        assert upsampler.names == ()
        return
    if parsed_config["kind"] != "base":
        plan = KINDS[parsed_config["kind"]].plan(section, {"batch_size": 1})
        assert plan.total_parameters > 0
        return
    backbone, process, conditions, _ = base_settings(section)
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


@pytest.mark.parametrize("name", ["caption", "sketch"])
def test_a_baseline_of_one_condition_keeps_it_in_nine_of_ten_samples(name):
    sets = ROOT / "configs" / "conditions" / f"scenes-{name}.yaml"
    config = parsed(ROOT / "configs" / "scenes.yaml", "--model.conditions", str(sets))
    _, _, conditions, policy = base_settings(config["model"].as_dict())
    assert list(conditions) == [name]
    rates = expected_keep_rates(policy, [plugin.drop_prob for plugin in conditions.values()])
    assert rates == pytest.approx([0.9])


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("joint", {"caption": 0.5, "color": 0.5, "sketch": 0.5, "intensity": 0.34}),
        ("uniform", {"caption": 0.5, "color": 0.5, "sketch": 0.5, "intensity": 0.5}),
        ("blind", {"caption": 0.0, "color": 0.0, "sketch": 0.0, "intensity": 0.0}),
        ("sketch", {"sketch": 0.9}),
    ],
)
def test_small_baselines_differ_in_what_they_are_named_for(name, rates):
    layers = dict.fromkeys(("joint", name))
    overlays = [str(ROOT / "configs" / "baselines" / f"{layer}.yaml") for layer in layers]
    config = parsed(
        ROOT / "configs" / "quickstart.yaml", *(w for file in overlays for w in ("--config", file))
    )
    _, _, conditions, policy = base_settings(config["model"].as_dict())
    found = expected_keep_rates(policy, [plugin.drop_prob for plugin in conditions.values()])
    assert dict(zip(conditions, found, strict=True)) == pytest.approx(rates)
    assert config["trainer"]["default_root_dir"] == f"runs/baselines/{name}"
    assert config["trainer"]["max_steps"] == 1600
    assert config["model"]["learning_rate"]["decay_steps"] == 1600


def test_an_override_reaches_every_value_that_depends_on_it():
    config = parsed(ROOT / "configs" / "photos.yaml", "--model.backbone.resolution", "32")
    assert config["data"]["resolution"] == 32
    config = parsed(ROOT / "configs" / "photos.yaml", "--seed_everything", "9")
    assert (config["model"]["seed"], config["data"]["seed"]) == (9, 9)


class SuppliedValues:
    """Batches that bring the values of every condition, since their extractors need weights."""

    def __init__(self, model):
        self.model, self.side = model, model.config.resolution

    def __len__(self):
        return 2

    def __iter__(self):
        for number in range(2):
            generator = torch.Generator().manual_seed(number)
            canvas = torch.rand(2, 3, 384, 384, generator=generator) * 2 - 1
            small = torch.nn.functional.interpolate(canvas, self.side, mode="area")
            values = {}
            for name, plugin in self.model.plugins.items():
                local = self.side * self.model.dims.hint_scale
                shape = [local if isinstance(axis, str) else axis for axis in plugin.spec.shape]
                value = torch.rand(2, *shape, generator=generator)
                if name in ("caption", "semantics"):  # CLIP embeddings have one stated length
                    value *= value.shape[-1] ** 0.5 / value.norm(dim=-1, keepdim=True)
                values[name] = value
            numbers = torch.tensor([2 * number, 2 * number + 1])
            yield {
                "source": canvas,
                "image": small,
                "caption": ["a photo", "another"],
                "index": numbers,
                "key": numbers,
                "identity": numbers,
                "conditions": values,
            }


def test_the_paper_config_trains_steps_at_reduced_width(tmp_path):
    """Through `fit` itself; besides the width only what concerns the machine is overridden."""
    cli = ComposerCLI(
        "fit",
        [
            *("--config", str(ROOT / "configs" / "base.yaml"), "--data.root", str(tmp_path)),
            *("--model.backbone.channels", "32", "--model.backbone.head_dim", "32"),
            *("--model.compile", "false", "--trainer.accelerator", "cpu"),
            *("--trainer.max_steps", "2", "--trainer.logger", "false"),
            *("--trainer.default_root_dir", str(tmp_path), "--previews.every_n_steps", "0"),
        ],
    )
    quieten()
    system = cli.model
    assert system.model.config.num_res_blocks == 3
    assert system.model.config.resolution == 64
    before = {name: p.detach().clone() for name, p in system.model.named_parameters()}
    cli.trainer.fit(system, SuppliedValues(system.model), SuppliedValues(system.model))
    assert cli.trainer.global_step == 2
    moved = {n for n, p in system.model.named_parameters() if not torch.equal(p, before[n])}
    # The last convolution starts at zero, so the second step is the first to reach beyond it.
    assert "backbone.head.weight" in moved
    assert any(name.startswith("backbone.encoder.0") for name in moved)
    assert (tmp_path / "checkpoints" / "step-00000002.ckpt").is_file()


class Large:
    """Two batches of large pictures, as an upsampler is trained on."""

    def __init__(self, side):
        self.side = side

    def __len__(self):
        return 2

    def __iter__(self):
        for number in range(2):
            generator = torch.Generator().manual_seed(number)
            coarse = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
            picture = torch.nn.functional.interpolate(coarse, self.side, mode="bilinear")
            numbers = torch.tensor([2 * number, 2 * number + 1])
            yield {
                "source": picture,
                "image": picture,
                "caption": ["", ""],
                "index": numbers,
                "key": numbers,
                "identity": numbers,
            }


@pytest.mark.parametrize(("name", "channels"), [("upsample-256", 16), ("upsample-1024", 8)])
def test_an_upsampler_config_trains_steps_at_reduced_width(tmp_path, name, channels):
    """Crops, corruption and attention as configured; only the width and the machine differ."""
    cli = ComposerCLI(
        "fit",
        [
            *("--config", str(ROOT / "configs" / f"{name}.yaml"), "--data.root", str(tmp_path)),
            *("--model.backbone.channels", str(channels), "--model.backbone.head_dim", "8"),
            *("--model.compile", "false", "--trainer.accelerator", "cpu"),
            *("--trainer.max_steps", "2", "--trainer.logger", "false"),
            *("--trainer.default_root_dir", str(tmp_path), "--previews.every_n_steps", "0"),
        ],
    )
    quieten()
    system = cli.model
    before = {name: p.detach().clone() for name, p in system.model.named_parameters()}
    batches = Large(system.model.config.resolution)
    cli.trainer.fit(system, batches, batches)
    assert cli.trainer.global_step == 2
    moved = {n for n, p in system.model.named_parameters() if not torch.equal(p, before[n])}
    assert "backbone.head.weight" in moved
    assert any(name.startswith("backbone.encoder.0") for name in moved)
