"""What a lease trains with: flat parameters, the trainer of both arms, the shared folder."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

LEASE = Path(__file__).parents[2] / "benchmarks" / "scene_model" / "lease"


def test_flat_parameters_stay_the_modules_own():
    from flat import Flat

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    given = torch.randn(4, 3)
    before = network(given)
    flat = Flat(network.parameters())
    assert torch.equal(network(given), before)
    network(given).square().sum().backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    flat.gather(flat.gradients)
    for part, gradient in zip(flat.split(flat.gradients), gradients, strict=True):
        assert torch.equal(part, gradient)
    assert all(p.grad is None for p in network.parameters())
    assert flat.gradients.norm() == pytest.approx(
        float(torch.cat([g.flatten() for g in gradients]).norm())
    )
    with torch.no_grad():
        flat.values.zero_()
    assert (network(given) == 0).all()


def test_a_parameter_without_gradient_counts_as_zero():
    from flat import Flat

    used, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    flat = Flat([*used.parameters(), *unused.parameters()])
    flat.gradients.fill_(7)
    used(torch.ones(1, 2)).sum().backward()
    flat.gather(flat.gradients)
    parts = flat.split(flat.gradients)
    assert (parts[0] == 1).all()
    assert (parts[2] == 0).all()


@pytest.fixture
def trainer(monkeypatch):
    import base
    from bank import Bank

    from composer_pl_color import Color
    from composer_pl_masking import Masking

    config = {
        "backbone": {
            "channels": 8, "channel_mult": [1], "num_res_blocks": 1, "attention_levels": [],
            "head_dim": 8, "context_dim": 8, "hint_channels": 2, "hint_scale": 1, "dropout": 0.0,
            "in_channels": 3, "out_channels": 3, "patch_size": 4, "resolution": 16,
        },
        "process": {"schedule": "cosine", "prediction": "v", "variance": "fixed"},
    }  # fmt: skip
    made = base.BaseTrainer(config, {"color": Color(), "masking": Masking()}, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    bank = Bank(
        x_0=torch.randint(256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8),
        fixed={"color": torch.rand(6, 156, generator=generator).softmax(1).half()},
        texts=1,
        masks=torch.rand(4, 1, 16, 16, generator=generator) > 0.5,
        greys=torch.full((1, 3), 1 / 3),
    )
    draw = bank.draw

    def without_greys(*args, **kwargs):
        x_0, values = draw(*args, **kwargs)
        del values["intensity"]
        return x_0, values

    monkeypatch.setattr(bank, "draw", without_greys)
    return made, bank


def silent(text):
    pass


def test_two_arms_of_one_trainer_begin_alike_and_can_be_repeated(trainer):
    from settings import Settings

    made, bank = trainer
    settings = Settings(steps=4, batch=3, warmup=1, decay=0.0)
    found = []
    for _ in range(2):
        made.start(0)
        found.append(made.train(bank, settings, log=silent).weights)
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name]), name
    made.start(1)
    other = made.train(bank, settings, log=silent).weights
    assert any(not torch.equal(value, other[name]) for name, value in found[0].items())


def test_the_early_weights_are_those_of_a_training_that_stops_there(trainer):
    from settings import Settings

    made, bank = trainer
    made.start(0)
    short = made.train(bank, Settings(steps=3, batch=3, warmup=1, decay=0.0), log=silent)
    made.start(0)
    longer = Settings(steps=30, batch=3, warmup=1, early_steps=3, focus={"color": 0.5})
    long = made.train(bank, longer, log=silent)
    assert long.early_steps == 3
    for name, value in short.weights.items():
        assert torch.equal(value, long.early[name]), name
    assert any(not torch.equal(v, long.weights[n]) for n, v in long.early.items())


def test_programs_never_read_half_a_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(LEASE))
    monkeypatch.delitem(sys.modules, "desk", raising=False)
    from desk import Desk

    first, second = (Desk(tmp_path, "tiny", title) for title in ("one", "two"))
    first.put("values.pt", {"a": torch.arange(3)})
    assert torch.equal(second.get("values.pt")["a"], torch.arange(3))
    assert not list(tmp_path.glob(".values*"))
    with pytest.raises(SystemExit, match=r"two: absent\.pt did not come"):
        second.get("absent.pt", patience=0.0)
    assert second.seconds >= 0
