"""Sampling: one seed a picture, conditions encoded once, guidance between two sets."""

import math
from dataclasses import replace

import pytest
import torch

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys

RECIPES = [SamplingRecipe(steps=4), SamplingRecipe(sampler="ddim", steps=4, eta=0.7)]


def draw(model, values, recipe, count, **options):
    return sample(model, values, recipe, keys=sample_keys(3, count), size=(16, 16), **options)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_picture_does_not_depend_on_how_many_are_drawn(model, values, recipe):
    one = {name: value[:1] for name, value in values.items()}
    five = draw(model, one, recipe, 5)
    split = draw(model, one, SamplingRecipe(**{**vars(recipe), "max_batch": 2}), 5)
    single = draw(model, one, recipe, 1)
    assert (five - split).abs().max() < 1e-4
    assert (five[:1] - single).abs().max() < 1e-4
    assert (five[0] - five[1]).abs().max() > 0.01


def test_a_value_for_each_picture_reaches_its_own_picture(model, values):
    recipe = SamplingRecipe(steps=3, max_batch=2)
    together = draw(model, values, recipe, 3)
    keys = sample_keys(3, 3)
    for i in range(3):
        one = {name: value[i : i + 1] for name, value in values.items()}
        alone = sample(model, one, recipe, keys=keys[i : i + 1], size=(16, 16))
        assert (together[i] - alone[0]).abs().max() < 1e-4


def test_a_shared_value_is_encoded_once(model, values, monkeypatch):
    sizes = []
    encode = type(model).encode

    def counting(self, given, keep):
        sizes.append(keep.shape[1])
        return encode(self, given, keep)

    monkeypatch.setattr(type(model), "encode", counting)
    one = {name: value[:1] for name, value in values.items()}
    draw(model, one, SamplingRecipe(steps=2, max_batch=2), 5)
    assert sizes == [1], "three batches, one encoding"
    draw(model, one, SamplingRecipe(steps=2, max_batch=2), 5, against=("mean",))
    assert sizes == [1, 1, 1], "one more for each of the two sets"


def test_guidance_of_one_is_no_guidance(model, values):
    plain = draw(model, values, SamplingRecipe(steps=3, guidance=1.0), 3)
    guided = draw(model, values, SamplingRecipe(steps=3, guidance=1.0), 3, against=("mean", "grey"))
    assert torch.equal(plain, guided)


def test_guidance_between_equal_sets_changes_nothing(model, values):
    plain = draw(model, values, SamplingRecipe(steps=3, guidance=1.0), 3)
    equal = draw(model, values, SamplingRecipe(steps=3, guidance=4.0), 3, against=("mean", "grey"))
    assert (plain - equal).abs().max() < 1e-4
    free = draw(model, values, SamplingRecipe(steps=3, guidance=4.0), 3)
    assert (plain - free).abs().max() > 1e-3


def test_progress_is_told_for_all_chunks(model, values):
    told = []
    one = {name: value[:1] for name, value in values.items()}
    recipe = SamplingRecipe(steps=3, max_batch=2)
    draw(model, one, recipe, 3, progress=lambda step, steps: told.append((step, steps)))
    assert told == [(i, 6) for i in range(1, 7)]


def test_guidance_may_move_away_from_values_of_its_own(model, values):
    recipe = SamplingRecipe(steps=3, guidance=3.0)
    two = {name: value[:1] for name, value in values.items()}
    one = {name: value[1:2] for name, value in values.items()}
    found = draw(model, two, recipe, 2, against=one)
    # eps = w eps(c2) + (1 - w) eps(c1) is symmetric under exchanging the sets and w with 1 - w.
    mirrored = draw(model, one, SamplingRecipe(steps=3, guidance=-2.0), 2, against=two)
    assert (found - mirrored).abs().max() < 1e-4
    assert (found - draw(model, two, recipe, 2)).abs().max() > 1e-3
    named = draw(model, two, recipe, 2, against=("mean",))
    same = draw(model, two, recipe, 2, against={"mean": two["mean"]})
    assert torch.equal(named, same)


def test_both_branches_run_in_one_batch_of_the_network(model, values, monkeypatch):
    sizes = []
    predict = type(model).predict

    def counting(self, x_t, t, signals):
        sizes.append(len(x_t))
        return predict(self, x_t, t, signals)

    monkeypatch.setattr(type(model), "predict", counting)
    draw(model, values, SamplingRecipe(steps=2), 3)
    draw(model, values, SamplingRecipe(steps=2, guidance=1.0), 3)
    assert sizes == [6, 6, 3, 3]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_learned_variance_leaves_the_pictures_of_these_samplers_alone(model, values, recipe):
    learned = ComposerModel(
        replace(model.config, out_channels=6),
        ProcessConfig(prediction="v", variance="learned_range"),
        model.plugins,
    ).eval()
    weights = dict(model.state_dict())
    for name in ("backbone.head.weight", "backbone.head.bias"):
        weights[name] = torch.cat([weights[name], torch.randn_like(weights[name])])
    learned.load_state_dict(weights)
    difference = draw(learned, values, recipe, 3) - draw(model, values, recipe, 3)
    assert difference.abs().max() < 1e-4


def test_another_number_of_values_than_pictures_is_refused(model, values):
    with pytest.raises(UserInputError, match="one value of 'mean', or one for each picture"):
        draw(model, values, RECIPES[0], 5)


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": 0},
        {"steps": 1001},
        {"eta": 0.5},
        {"eta": -0.1, "sampler": "ddim"},
        {"eta": 1.1, "sampler": "ddim"},
        {"eta": math.nan, "sampler": "ddim"},
        {"guidance": math.nan},
        {"guidance": math.inf},
        {"max_batch": 0},
    ],
)
def test_recipes_that_no_sampler_can_follow_are_refused(setting):
    with pytest.raises(UserInputError, match="Setting the sampling recipe"):
        SamplingRecipe(**setting)
