"""Two conditions from one or two pictures: what is drawn from what, and what scores are made of."""

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.evaluation.composition.crossing import (
    CrossedPictures,
    all_pairs,
    draw_crossed,
    partners,
    score_crossed,
)
from composer_pl.evaluation.composition.winning import met, obeyed
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys
from composer_pl.types import ConditionSignals

PAIR = ("mean", "grey")
RECIPE = SamplingRecipe(steps=2, guidance=2.0, max_batch=3)


@pytest.fixture
def model():
    torch.manual_seed(0)
    known = {"mean": FakeGlobal(), "grey": FakeLocal(), "other": FakeLocal()}
    built = ComposerModel(TINY, ProcessConfig(prediction="v"), known)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return built.eval().requires_grad_(False)


@pytest.fixture
def values():
    return {"mean": torch.rand(4, 3), "grey": torch.rand(4, 1, 32, 32)}


def test_partners_are_each_others():
    assert partners(6).tolist() == [1, 0, 3, 2, 5, 4]
    assert all_pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_each_arm_is_drawn_from_its_conditions_with_the_noise_of_its_row(model, values):
    keys, true, steps = sample_keys(3, 4), torch.zeros(4, 3, 16, 16), []
    drawn = draw_crossed(
        model, true, values, [PAIR], RECIPE, keys=keys, progress=lambda n, of: steps.append((n, of))
    )
    assert drawn.pairs == [PAIR]
    assert steps[-1] == (20, 20)
    mean, grey = values["mean"], values["grey"]
    expected = [
        (drawn.nothing, {}),
        (drawn.alone["mean"], {"mean": mean}),
        (drawn.alone["grey"], {"grey": grey}),
        (drawn.compatible[PAIR], {"mean": mean, "grey": grey}),
        (drawn.conflicting[PAIR], {"mean": mean, "grey": grey[[1, 0, 3, 2]]}),
    ]
    for found, given in expected:
        again = sample(model, given, RECIPE, keys=keys, size=(16, 16))
        torch.testing.assert_close(found, again, atol=1e-3, rtol=0)
    assert not torch.allclose(drawn.compatible[PAIR], drawn.conflicting[PAIR], atol=1e-2)


@pytest.mark.parametrize(
    ("count", "pairs", "message"), [(3, [PAIR], "found 3.*ask for 4"), (4, [], "two conditions")]
)
def test_odd_numbers_and_single_conditions_are_refused(model, count, pairs, message):
    true = torch.zeros(count, 3, 16, 16)
    with pytest.raises(UserInputError, match=message):
        draw_crossed(model, true, {}, pairs, RECIPE, keys=sample_keys(0, count))


# -- a constructed model: pictures say which source they obey, and how far -----------------------


def painted(first, second):
    """A picture's red is what it shows of X, its green what it shows of Y."""
    blank = torch.zeros(len(first))
    return torch.stack([first, second, blank], 1)[:, :, None, None].float().expand(-1, 3, 2, 2)


def shown(name, pictures, rows):
    """1 where the channel of a condition shows the source's number, falling with the distance."""
    channel = pictures[:, {"x": 0, "y": 1}[name], 0, 0]
    return 1 - (channel - rows).abs() / 10


def crossed(share_x, share_y, blind=False, count=40):
    """Alone each condition is obeyed; where both conflict, X by one share and Y by another."""
    own = torch.arange(count).float()
    other = partners(count).float()
    nothing = torch.zeros(count)

    def towards(source, away, share):
        return away + share * (source - away)

    alone = {"x": painted(own, nothing), "y": painted(nothing, own)}
    conflicting = painted(towards(own, other, share_x), towards(other, own, share_y))
    if blind:
        alone = dict.fromkeys(alone, painted(nothing, nothing))
        conflicting = painted(nothing, nothing)
    return CrossedPictures(
        true=painted(own, own),
        nothing=painted(nothing, nothing),
        alone=alone,
        compatible={("x", "y"): painted(own, own)},
        conflicting={("x", "y"): conflicting},
    )


def test_scores_are_held_against_the_sources_of_each_arm():
    scores = score_crossed(crossed(1.0, 0.0), shown)
    assert scores.clusters.tolist() == [i // 2 for i in range(40)]
    for name in "xy":
        marks = scores.single[name]
        assert bool((marks["ceiling"] == 1).all())
        assert bool((marks["alone"] == 1).all())
        assert torch.allclose(marks["floor"], torch.tensor(0.9))  # partners are one apart
    both = {arm: float(mark.mean()) for arm, mark in scores.both["x", "y"].items()}
    assert both == pytest.approx(
        {"compatible first": 1, "compatible second": 1,
         "conflicting first": 1, "conflicting second": 0.9}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "winner"),
    [((1.0, 0.25), "x"), ((0.1, 0.9), "y"), ((0.6, 0.6), "neither"), ((0.75, 0.7), "neither")],
)
def test_the_winner_keeps_more_of_its_own_way(shares, winner):
    scores = score_crossed(crossed(*shares), shown)
    found = met(scores, ("x", "y"), "conflicting")
    assert found.first.value == pytest.approx(shares[0], abs=1e-5)
    assert found.second.value == pytest.approx(shares[1], abs=1e-5)
    assert found.winner == winner
    together = met(scores, ("x", "y"), "compatible")
    assert together.first.value == pytest.approx(1)
    assert together.winner == "neither"


def test_what_varies_more_than_it_differs_is_undecided():
    share = torch.rand(40, generator=torch.Generator().manual_seed(1))
    scores = score_crossed(crossed(share, 1 - share), shown)
    assert met(scores, ("x", "y"), "conflicting").winner == "undecided"


def test_a_model_that_is_blind_is_at_its_floor_and_nobody_wins():
    scores = score_crossed(crossed(0, 0, blind=True), shown)
    for name in "xy":
        found = obeyed(scores, name)
        assert found.alone.value == pytest.approx(found.floor.value)
        assert found.alone == found.blind
        assert found.way.value == pytest.approx(0, abs=1e-6)
        assert not found.is_obeyed
    found = met(scores, ("x", "y"), "conflicting")
    assert found.first.value != found.first.value
    assert found.winner == "x and y not obeyed alone"


def test_a_condition_that_the_scorer_cannot_tell_is_left_out():
    def half(name, pictures, rows):
        return shown(name, pictures, rows) if name == "x" else None

    scores = score_crossed(crossed(1, 1), half)
    assert list(scores.single) == ["x"]
    assert met(scores, ("x", "y"), "conflicting") is None


def test_intervals_resample_the_twos():
    """Scores that are alike within a two are as many as there are twos."""
    drawn = crossed(0.5, 0.5)
    per_two = torch.randn(20, generator=torch.Generator().manual_seed(2)).repeat_interleave(2)

    def noisy(name, pictures, rows):
        return shown(name, pictures, rows) + per_two

    wide = obeyed(score_crossed(drawn, noisy), "x").alone
    error = float(per_two[::2].std()) / 20**0.5
    assert (wide.high - wide.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.2)


class Blind(ComposerModel):
    """Hears of its conditions and answers as if there were none."""

    def predict(self, x_t, t, signals):
        return super().predict(x_t, t, ConditionSignals())


def test_what_a_blind_model_draws_is_the_same_in_every_arm(model, values):
    blind = Blind(TINY, ProcessConfig(prediction="v"), model.plugins)
    blind.load_state_dict(model.state_dict())
    recipe = SamplingRecipe(steps=1, guidance=1.0)
    true, keys = torch.zeros(4, 3, 16, 16), sample_keys(3, 4)
    drawn = draw_crossed(blind.eval(), true, values, [PAIR], recipe, keys=keys)
    arms = [*drawn.alone.values(), drawn.compatible[PAIR], drawn.conflicting[PAIR]]
    assert len(arms) == 4
    assert all(torch.equal(arm, drawn.nothing) for arm in arms)
