import pytest
import torch

from composer_pl.systems.metrics import LossSplit

LOSS = torch.tensor([1.0, 2.0, 4.0, 8.0])
KEEP = torch.tensor([[True, True, False, False], [True, False, False, True]])
T = torch.tensor([0, 249, 250, 999])


def test_each_key_is_the_mean_over_its_samples():
    split = LossSplit(("sketch", "color"), num_timesteps=1000)
    split.add(LOSS, KEEP, T)
    assert split.read() == {
        "loss": 3.75,
        "loss_with/sketch": 1.5,
        "loss_with/color": 4.5,
        "loss_without/sketch": 6.0,
        "loss_without/color": 3.0,
        "loss_conditions/0": 4.0,
        "loss_conditions/1": 5.0,
        "loss_conditions/2": 1.0,
        "loss_noise/0.00-0.25": 1.5,
        "loss_noise/0.25-0.50": 4.0,
        "loss_noise/0.75-1.00": 8.0,
    }


def test_reading_starts_afresh_and_batches_of_any_size_count_by_sample():
    split = LossSplit(("sketch", "color"), num_timesteps=1000)
    split.add(LOSS[:1], KEEP[:, :1], T[:1])
    split.add(LOSS[1:], KEEP[:, 1:], T[1:])
    assert split.read()["loss"] == 3.75
    assert split.read() == {}


def test_nothing_of_it_enters_a_checkpoint():
    assert not LossSplit(("sketch",), num_timesteps=10).state_dict()


def test_a_model_without_conditions_has_its_loss_too():
    split = LossSplit((), num_timesteps=4)
    split.add(LOSS, torch.zeros(0, 4, dtype=torch.bool), torch.tensor([0, 1, 2, 3]))
    assert split.read()["loss"] == pytest.approx(3.75)
