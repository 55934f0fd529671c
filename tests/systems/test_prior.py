"""Training a prior: what a batch draws, resuming, and the configurations that are committed."""

from pathlib import Path

import pytest
import torch
from prior_fakes import SIZE, WIDTH, clip_plugins, conditions
from tiny_training import make_trainer
from torch.optim import AdamW

from composer_pl.cli.fit import configured
from composer_pl.cli.planners import plan_prior, prior_settings
from composer_pl.cli.training import ComposerCLI
from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.errors import CheckpointError, ConfigError, UserInputError
from composer_pl.models.prior import PriorModel
from composer_pl.models.storage import load_prior
from composer_pl.systems.checkpoints import Checkpoints
from composer_pl.systems.ema import EMA
from composer_pl.systems.metrics import LossSplit
from composer_pl.systems.prior import PriorSystem

__all__ = ["clip_plugins"]
ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.usefixtures("clip_plugins"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def system(**settings):
    torch.manual_seed(0)
    given = {"backbone": SIZE, "optimizer": lambda p: AdamW(p, lr=3e-3, weight_decay=0.1)}
    return PriorSystem(conditions(), **{**given, **settings})


def batch(count=4, caption="a red cube"):
    generator = torch.Generator().manual_seed(3)
    keys = torch.arange(count) + 10
    return {
        "source": 2 * torch.rand(count, 3, 32, 32, generator=generator) - 1,
        "image": torch.zeros(count, 3, 8, 8),
        "caption": [caption] * count,
        "index": keys,
        "key": keys,
        "identity": keys,
    }


def test_draws_are_functions_of_keys_and_their_timesteps_are_spread():
    trained, given = system(draws=4), batch(64)
    keep, t, eps = trained.draw(given)
    assert keep.shape == (1, 64)
    assert eps.shape == (4 * 64, WIDTH)
    assert torch.equal(t.view(4, 64) // 250, torch.arange(4)[:, None].expand(-1, 64))
    one = {name: value[5:6] for name, value in given.items()}
    _, t_one, eps_one = trained.draw(one)
    assert torch.equal(t_one, t[5::64])
    assert torch.equal(eps_one, eps[5::64])


def test_captions_are_dropped_as_often_as_told_and_where_there_is_none():
    assert system(drop_text=0.0).draw(batch(64))[0].all()
    assert not system(drop_text=1.0).draw(batch(64))[0].any()
    assert not system(drop_text=0.0).draw(batch(64, caption=" "))[0].any()
    share = system(drop_text=0.3).draw(batch(1000))[0].float().mean()
    assert share.item() == pytest.approx(0.7, abs=0.05)


def test_losses_are_split_by_draw():
    trained, given = system(draws=3), batch()
    split = LossSplit(trained.model.names, 1000)
    loss = trained.losses(given, split)
    assert loss.shape == (12,)
    assert split.read()["loss"] == pytest.approx(loss.mean().item(), rel=1e-5)


def test_weight_decay_spares_norms_biases_and_positions():
    trained = system()
    decayed, spared = (group["params"] for group in trained.configure_optimizers().param_groups)
    names = {id(p): name for name, p in trained.model.named_parameters()}
    assert {names[id(p)].rpartition(".")[2] for p in decayed} == {"weight"}
    assert {"backbone.query", "backbone.own_positions", "backbone.norm.weight"} <= {
        names[id(p)] for p in spared
    }
    assert len(decayed) + len(spared) == len(names)
    rates = [group["weight_decay"] for group in trained.configure_optimizers().param_groups]
    assert rates == [0.1, 0.0]


def fit(pictures, run, trained, *, steps, ckpt=None):
    data = ComposerDataModule(
        str(pictures), canvas=32, resolution=8, batch_size=4, num_workers=0, val_fraction=0.2
    )
    trainer = make_trainer(run, EMA(decay=0.9), Checkpoints(every_n_steps=2), max_steps=steps)
    trainer.fit(trained, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return trainer


def test_a_run_is_resumed_exactly_and_its_checkpoint_is_a_prior(pictures, tmp_path):
    whole = system()
    fit(pictures, tmp_path / "whole", whole, steps=4)
    fit(pictures, tmp_path / "part", system(), steps=2)
    again = system()
    middle = tmp_path / "part" / "checkpoints" / "step-00000002.ckpt"
    fit(pictures, tmp_path / "part", again, steps=4, ckpt=str(middle))
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    last = tmp_path / "part" / "checkpoints" / "step-00000004.ckpt"
    loaded = load_prior(last, averaged=False)
    assert torch.equal(loaded.backbone.query, again.model.backbone.query.cpu())
    assert not torch.equal(load_prior(last).backbone.query, loaded.backbone.query)


def test_a_checkpoint_of_another_prior_is_refused(pictures, tmp_path):
    fit(pictures, tmp_path, system(), steps=2)
    last = tmp_path / "checkpoints" / "step-00000002.ckpt"
    stranger = PriorSystem(conditions("two", "two"), backbone=SIZE)
    with pytest.raises(CheckpointError, match=r"model\.conditions\.caption\.init_args\.clip"):
        fit(pictures, tmp_path / "other", stranger, steps=4, ckpt=str(last))


def test_what_a_prior_cannot_do_is_said():
    with pytest.raises(UserInputError, match="pictures were expected, found image embeddings"):
        system().predict_step(batch(), 0)
    with pytest.raises(ConfigError, match=r"found 0\.1 and 0"):
        system(draws=0)
    with pytest.raises(ConfigError, match=r"found 1\.5 and 1"):
        system(drop_text=1.5)


# -- committed configurations ----------------------------------------------------------------------


def section(name, **overrides):
    words = [word for key, value in overrides.items() for word in (f"--{key}", str(value))]
    config = configured(["--config", str(ROOT / "configs" / name), *words], prog="plan").config
    assert config["kind"] == "prior"
    return config["model"].as_dict()


def test_the_paper_config_has_a_billion_parameters_by_an_independent_count():
    width, layers, embedding, words = 2048, 20, 768, 77
    attention, perceptron, norms = 4 * (width + 1) * width, (8 * width + 5) * width, 4 * width
    projections = 3 * (embedding + 1) * width + 2 * (width + 1) * width + (width + 1) * embedding
    learned = (words + 1 + 3 + 1) * width + 2 * width  # positions, query, last norm
    expected = layers * (attention + perceptron + norms) + projections + learned
    with torch.device("meta"):
        model = PriorModel(*prior_settings(section("prior.yaml")))
    found = sum(p.numel() for p in model.parameters())
    assert found == expected
    assert abs(found / 1e9 - 1) < 0.1


def test_a_plan_counts_more_draws_as_more_work():
    one, six = (
        plan_prior(section("prior-scenes.yaml", **{"model.draws": draws}), {"batch_size": 2})
        for draws in (1, 6)
    )
    assert one.flops_forward["transformer"] < six.flops_forward["transformer"]
    assert six.flops_forward["transformer"] < 2 * one.flops_forward["transformer"]
    assert " px" not in one.table()


class SuppliedValues:
    """Batches that bring their values, since CLIP needs weights."""

    def __init__(self, model):
        self.model = model

    def __len__(self):
        return 2

    def __iter__(self):
        for number in range(2):
            given = batch(2)
            values = torch.randn(2, 78, 768, generator=torch.Generator().manual_seed(number))
            values *= 768**0.5 / values.norm(dim=-1, keepdim=True)
            given["conditions"] = {"caption": values, "semantics": values[:, 5]}
            yield given


def test_the_paper_config_trains_steps_at_reduced_width(tmp_path):
    cli = ComposerCLI(
        "fit",
        [
            *("--config", str(ROOT / "configs" / "prior.yaml"), "--data.root", str(tmp_path)),
            *("--model.backbone.width", "64", "--model.backbone.head_dim", "32"),
            *("--trainer.accelerator", "cpu", "--trainer.max_steps", "2"),
            *("--trainer.logger", "false", "--trainer.default_root_dir", str(tmp_path)),
        ],
    )
    trained = cli.model
    assert trained.model.config.layers == 20
    before = {name: p.detach().clone() for name, p in trained.model.named_parameters()}
    cli.trainer.fit(trained, SuppliedValues(trained.model), SuppliedValues(trained.model))
    assert cli.trainer.global_step == 2
    moved = {n for n, p in trained.model.named_parameters() if not torch.equal(p, before[n])}
    # The head starts at zero, so the second step is the first to reach beyond it.
    assert {"backbone.head.weight", "backbone.words_in.weight", "backbone.query"} <= moved
    assert load_prior(tmp_path / "checkpoints" / "step-00000002.ckpt").width == 768
