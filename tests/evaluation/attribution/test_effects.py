"""The game of a model: its losses by the definition, effects, and a model that is blind."""

import itertools

import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.evaluation.attribution.effects import AttributionPlan, attribute
from composer_pl.evaluation.attribution.losses import (
    EncodedConditions,
    band_timesteps,
    coalition_losses,
)
from composer_pl.evaluation.attribution.reporting import attribution_parts
from composer_pl.evaluation.report import Table
from composer_pl.models.base import ComposerModel
from composer_pl.models.sampling import sample_keys
from composer_pl.randomness import keyed_normal
from composer_pl.types import ConditionSignals


class Blind(ComposerModel):
    """Hears of its conditions and answers as if there were none."""

    def predict(self, x_t, t, signals):
        return super().predict(x_t, t, ConditionSignals())


def build(kind=ComposerModel, **conditions):
    torch.manual_seed(0)
    known = conditions or {"mean": FakeGlobal(), "grey": FakeLocal(), "text": FakeCaption()}
    model = kind(TINY, ProcessConfig(prediction="v"), known)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval().requires_grad_(False)


@pytest.fixture
def pictures():
    return torch.rand(3, 3, 16, 16) * 2 - 1


@pytest.fixture
def values():
    return {
        "mean": torch.rand(3, 3),
        "grey": torch.rand(3, 1, 32, 32),
        "text": torch.rand(3, 8) * 9,
    }


KEYS = sample_keys(5, 3)


def test_fused_signals_are_those_of_the_conditioner(values):
    model = build()
    encoded = EncodedConditions(model, values, batch=2)
    for kept in itertools.product((True, False), repeat=3):
        keep = torch.tensor(kept)[:, None].expand(-1, 3)
        ours, theirs = encoded.fused(torch.arange(3), keep), model.encode(values, keep)
        torch.testing.assert_close(ours.context, theirs.context)
        assert torch.equal(ours.context_mask, theirs.context_mask)
        torch.testing.assert_close(ours.time, theirs.time)
        torch.testing.assert_close(ours.hint, theirs.hint)


def test_losses_are_the_models_own(pictures, values):
    model = build()
    timesteps = torch.tensor([[3, 900], [500, 20], [0, 999]])
    found = coalition_losses(
        model, pictures, EncodedConditions(model, values), KEYS, timesteps,
        [range(8), [0, 7], [5]], max_batch=5,
    )  # fmt: skip
    noise = keyed_normal(KEYS, "attribution noise", (2, 3, 16, 16))
    assert [set(losses) for losses in found] == [set(range(8)), {0, 7}, {5}]
    for row, losses in enumerate(found):
        for mask, loss in losses.items():
            keep = torch.tensor([bool(mask >> i & 1) for i in range(3)])[:, None]
            for draw in range(2):
                expected = model.loss(
                    pictures[row : row + 1],
                    {name: value[row : row + 1] for name, value in values.items()},
                    keep,
                    timesteps[row : row + 1, draw],
                    noise[row : row + 1, draw],
                )
                torch.testing.assert_close(loss[draw].float(), expected[0], rtol=1e-4, atol=1e-5)


def test_effects_by_their_definition(pictures, values):
    """Shapley, leave-one-out and alone, from losses that are asked for one at a time."""
    model = build()
    effects = attribute(model, pictures, values, KEYS, AttributionPlan(bands=2, draws=2))
    assert effects.shapley.shape == (3, 3, 2)
    assert effects.forwards == 8 * 3 * 4
    encoded = EncodedConditions(model, values)

    def worth(*names):
        mask = sum(1 << list(values).index(name) for name in names)
        losses = coalition_losses(
            model, pictures, encoded, KEYS, effects.timesteps.flatten(1), [[mask]] * 3
        )
        return -torch.stack([loss[mask].view(2, 2).mean(1) for loss in losses])

    names = list(values)
    close = {"rtol": 1e-4, "atol": 1e-5}
    for row, name in enumerate(names):
        others = [other for other in names if other != name]
        torch.testing.assert_close(effects.left_out[row], worth(*names) - worth(*others), **close)
        torch.testing.assert_close(effects.alone[row], worth(name) - worth(), **close)
        orders = list(itertools.permutations(names))
        gains = [worth(*o[: o.index(name) + 1]) - worth(*o[: o.index(name)]) for o in orders]
        torch.testing.assert_close(effects.shapley[row], sum(gains) / len(orders), **close)
    torch.testing.assert_close(effects.total, worth(*names) - worth(), **close)
    torch.testing.assert_close(effects.shapley.sum(0), effects.total)
    assert effects.total.abs().min() > 1e-4


def test_a_model_that_is_blind_to_its_conditions_has_effects_of_exactly_zero(pictures, values):
    effects = attribute(build(Blind), pictures, values, KEYS, AttributionPlan(max_batch=7))
    assert effects.none.min() > 0
    for found in (effects.shapley, effects.left_out, effects.alone, effects.total):
        assert torch.equal(found, torch.zeros_like(found))


def test_sampled_orders_come_near_the_exact_values(pictures, values):
    model = build()
    exact = attribute(model, pictures, values, KEYS, AttributionPlan())
    sampled = attribute(model, pictures, values, KEYS, AttributionPlan(orders=40))
    assert sampled.orders == 40
    assert torch.equal(sampled.timesteps, exact.timesteps)
    for name in ("left_out", "alone", "total"):
        torch.testing.assert_close(
            getattr(sampled, name), getattr(exact, name), rtol=1e-3, atol=1e-5
        )
    torch.testing.assert_close(sampled.shapley.sum(0), sampled.total)
    error = (sampled.shapley - exact.shapley).abs().max()
    assert error < 0.2 * exact.shapley.abs().max()


def test_many_conditions_are_asked_in_sampled_orders(pictures):
    conditions = {f"mean_{i}": FakeGlobal() for i in range(12)}
    model, values = build(**conditions), {name: torch.rand(3, 3) for name in conditions}
    with pytest.raises(UserInputError, match=r"at most 8 .* found 12.*--orders"):
        attribute(model, pictures, values, KEYS, AttributionPlan())
    plan = AttributionPlan(bands=1, orders=2)
    effects = attribute(model, pictures, values, KEYS, plan)
    torch.testing.assert_close(effects.shapley.sum(0), effects.total)
    # Ends and one order with its reverse: 2 + 24 + 22, less those that fall together.
    assert effects.forwards <= 3 * 48


def test_no_conditions_and_numbers_below_one_are_refused(pictures):
    with pytest.raises(UserInputError, match="found none"):
        attribute(build(), pictures, {}, KEYS, AttributionPlan())
    with pytest.raises(UserInputError, match="orders must be at least 1, found 0"):
        AttributionPlan(orders=0)


def test_names_of_bands_hold_the_timesteps_that_are_drawn_in_them(pictures, values):
    """Also where the bands do not divide the schedule."""
    model = build()
    plan = AttributionPlan(bands=3, orders=1)
    effects = attribute(model, pictures, values, KEYS, plan)
    parts = attribution_parts(effects, num_timesteps=1000)
    table = next(p for p in parts if isinstance(p, Table) and p.title.startswith("Shapley"))
    assert table.columns[1:4] == ["t 0-333", "t 333-666", "t 666-999"]
    drawn = band_timesteps(sample_keys(0, 2000), bands=3, draws=1, num_timesteps=1000)[..., 0]
    for band, (first, last) in enumerate(((0, 333), (333, 666), (666, 999))):
        assert drawn[:, band].min() == first
        assert drawn[:, band].max() == last


def test_timesteps_fill_every_part_of_every_band():
    found = band_timesteps(sample_keys(0, 200), bands=4, draws=5, num_timesteps=1000)
    first = torch.arange(0, 1000, 50).view(4, 5)
    assert bool(((found >= first) & (found < first + 50)).all())
    assert found[:, 3, 4].max() > 990
    assert found[:, 0, 0].min() < 10
