from copy import deepcopy

import lightning.pytorch as pl
import pytest
import torch
from tiny_training import make_system, train
from torch import nn

from composer_pl.errors import ConfigError
from composer_pl.systems.ema import EMA, averaged_weights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def started(network, **options):
    ema = EMA(**options)
    ema._start(network)
    return ema


def test_the_average_follows_its_closed_form(network):
    ema = started(network, decay=0.6)
    expected = {name: p.detach().clone().double() for name, p in network.named_parameters()}
    for update in range(12):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn_like(p))
        decay = min(0.6, (1 + update) / (10 + update))
        for name, p in network.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * p.detach()
        ema.update(network)
    assert ema.updates == 12
    for name, value in ema.weights().items():
        torch.testing.assert_close(value.double(), expected[name], atol=1e-6, rtol=0)


def test_the_decay_warms_up_to_its_limit():
    ema = EMA(decay=0.9999)
    assert ema.decay_at(0) == 0.1
    assert ema.decay_at(90) == 0.91
    assert ema.decay_at(10**6) == 0.9999


def test_averaging_of_constant_weights_changes_nothing(network):
    ema = started(network)
    before = {name: value.clone() for name, value in ema.weights().items()}
    ema.update(network)
    assert all(torch.equal(ema.weights()[name], before[name]) for name in before)


def test_the_exchange_is_undone_exactly_and_keeps_addresses(network):
    ema = started(network)
    with torch.no_grad():
        network[0].weight.mul_(3)
    raw = [p.detach().clone() for p in network.parameters()]
    addresses = [p.data_ptr() for p in network.parameters()]
    average = [value.clone() for value in ema.weights().values()]
    with ema.averaged(network), ema.averaged(network):
        assert all(torch.equal(p, a) for p, a in zip(network.parameters(), average, strict=True))
    assert all(torch.equal(p, r) for p, r in zip(network.parameters(), raw, strict=True))
    assert [p.data_ptr() for p in network.parameters()] == addresses
    assert not ema.swapped


def test_a_checkpoint_written_while_exchanged_holds_both_in_their_places(fake_plugins):
    system = make_system()
    ema = started(system.model)
    with torch.no_grad():
        for p in system.model.parameters():
            p.add_(1.0)
    ema.update(system.model)

    def saved():
        checkpoint = {"state_dict": {k: v.clone() for k, v in system.state_dict().items()}}
        ema.on_save_checkpoint(pl.Trainer(logger=False), system, checkpoint)
        return deepcopy(checkpoint)

    plain = saved()
    with ema.averaged(system.model):
        exchanged = saved()
    for name, value in plain["composer_pl_ema"]["weights"].items():
        assert torch.equal(value, exchanged["composer_pl_ema"]["weights"][name])
        raw = plain["state_dict"][f"model.{name}"]
        assert torch.equal(raw, exchanged["state_dict"][f"model.{name}"])


def test_a_checkpoint_holds_the_average_beside_the_raw_weights(fake_plugins, pictures, tmp_path):
    _, checkpoint = train(pictures, tmp_path / "run", max_steps=3)
    average = checkpoint["composer_pl_ema"]
    assert average["updates"] == 3
    raw = {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items()}
    assert average["weights"].keys() == raw.keys()
    assert any(not torch.equal(average["weights"][name], raw[name]) for name in raw)


def test_without_an_average_nothing_is_kept(fake_plugins, pictures, tmp_path):
    _, checkpoint = train(pictures, tmp_path / "run", max_steps=2, ema=False)
    assert "composer_pl_ema" not in checkpoint


def test_a_trainer_without_the_callback_leaves_the_weights(network):
    trainer = pl.Trainer(logger=False)
    before = network[0].weight.detach().clone()
    with averaged_weights(trainer, network):
        assert torch.equal(network[0].weight, before)


def test_a_decay_outside_its_range_is_refused():
    with pytest.raises(ConfigError, match=r"ema\.decay"):
        EMA(decay=1.0)


def test_an_interval_below_one_is_refused():
    with pytest.raises(ConfigError, match=r"ema\.every_n_steps"):
        EMA(every_n_steps=0)


def test_the_average_is_laid_out_like_the_weights_and_no_narrower(network):
    conv = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    ema = started(conv)
    restored = EMA()
    restored._weights = {name: value.contiguous() for name, value in ema.weights().items()}
    restored._start(conv)
    for average in (ema, restored):
        assert average.weights()["weight"].stride() == conv.weight.stride()
    exact = network.double()
    raw = [p.detach().clone() for p in exact.parameters()]
    with started(exact).averaged(exact):
        pass
    assert all(torch.equal(p, r) for p, r in zip(exact.parameters(), raw, strict=True))
