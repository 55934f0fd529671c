"""Fusing many conditions: nothing leaks, presence is told, contradictions are refused."""

import pytest
import torch
from fakes import FakeGlobal, FakeLocal

from composer_pl.conditions.conditioner import Conditioner
from composer_pl.errors import ConfigError, UnknownConditionError


@pytest.fixture
def conditioner(dims):
    torch.manual_seed(0)
    built = Conditioner({"mean": FakeGlobal(), "grey": FakeLocal()}, dims)
    torch.nn.init.normal_(built.presence)
    return built


@pytest.fixture
def values():
    return {"mean": torch.randn(4, 3), "grey": torch.randn(4, 1, 16, 16)}


def test_a_sample_that_keeps_nothing_gets_exactly_nothing(conditioner, values):
    signals = conditioner(values, torch.zeros(2, 4, dtype=torch.bool))
    for part in (signals.time, signals.context, signals.hint):
        assert torch.count_nonzero(part) == 0
    assert not signals.context_mask.any()


def test_dropping_acts_on_each_sample_alone(conditioner, values):
    keep = torch.tensor([[True, False, True, False], [False, False, True, True]])
    mixed = conditioner(values, keep)
    for row in range(4):
        one = {name: value[row : row + 1] for name, value in values.items()}
        alone = conditioner(one, keep[:, row : row + 1])
        torch.testing.assert_close(mixed.time[row], alone.time[0])
        torch.testing.assert_close(mixed.context[row], alone.context[0])
        torch.testing.assert_close(mixed.hint[row], alone.hint[0])
        assert torch.equal(mixed.context_mask[row], alone.context_mask[0])


def test_dropped_values_may_hold_anything(conditioner, values):
    keep = torch.tensor([[True, False, True, False], [False, False, True, True]])
    expected = conditioner(values, keep)
    values["mean"][1], values["grey"][0] = torch.nan, torch.inf
    found = conditioner(values, keep)
    torch.testing.assert_close(found.time, expected.time)
    torch.testing.assert_close(found.hint, expected.hint)


def test_an_empty_value_differs_from_a_missing_one(conditioner, values):
    conditioner.encoders["grey"].layers.requires_grad_(False)
    for parameter in conditioner.encoders["grey"].parameters():
        parameter.zero_()  # the hint of this value is now exactly that of no value
    kept = conditioner(values, torch.tensor([[False] * 4, [True] * 4]))
    dropped = conditioner(values, torch.tensor([[False] * 4, [False] * 4]))
    assert torch.equal(kept.hint, dropped.hint)
    assert not torch.equal(kept.time, dropped.time)


def test_a_value_that_is_not_given_counts_as_dropped(conditioner, values):
    keep = torch.ones(2, 4, dtype=torch.bool)
    partial = conditioner({"mean": values["mean"]}, keep)
    keep[1] = False
    expected = conditioner(values, keep)
    torch.testing.assert_close(partial.time, expected.time)
    assert partial.hint is None


def test_a_value_of_an_unknown_condition_is_refused(conditioner, values):
    values["gray"] = values.pop("grey")
    with pytest.raises(UnknownConditionError, match="did you mean 'grey'"):
        conditioner(values, torch.ones(2, 4, dtype=torch.bool))


@pytest.mark.parametrize("probability", [-0.1, 1.5, 50, float("nan")])
def test_a_drop_prob_that_is_no_probability_is_refused(dims, probability):
    with pytest.raises(ConfigError, match=f"drop_prob of grey .* found {probability}"):
        Conditioner({"grey": FakeLocal(drop_prob=probability)}, dims)


def test_gradients_reach_every_encoder_even_when_all_is_dropped(conditioner, values):
    signals = conditioner(values, torch.zeros(2, 4, dtype=torch.bool))
    (signals.time.sum() + signals.context.sum() + signals.hint.sum()).backward()
    assert all(parameter.grad is not None for parameter in conditioner.parameters())


@pytest.mark.parametrize("name", ["two words", "keys", "1st"])
def test_names_that_cannot_be_module_names_are_refused(name, dims):
    with pytest.raises(ConfigError, match="Python identifier"):
        Conditioner({name: FakeGlobal()}, dims)


def test_conditions_that_contradict_each_other_are_refused(dims):
    class Clip(FakeGlobal):
        def __init__(self, *, model: str = "L"):
            super().__init__()
            self.model = model

        def agreement(self):
            return {"clip": self.model}

    Conditioner({"caption": Clip(), "semantics": Clip()}, dims)
    with pytest.raises(
        ConfigError, match=r"caption and semantics must use the same clip.*'L'.*'B'"
    ):
        Conditioner({"caption": Clip(), "semantics": Clip(model="B")}, dims)
