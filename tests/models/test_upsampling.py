"""Sampling of large pictures: keyed, from 8 bits, and exact where the network's answer is."""

from dataclasses import replace

import pytest
import torch
from fakes import FakeGlobal
from tiny import UPSAMPLER

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.models.recipe import ConditionGuidance, SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig, requantised
from composer_pl.models.upsampling import low_multiple, upsample

FAST = SamplingRecipe(steps=3, guidance=1.0)
RECIPES = [FAST, replace(FAST, sampler="ddim", eta=0.7)]


@pytest.fixture
def low():
    return 2 * torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1)) - 1


def draw(model, low, recipe=FAST, seed=3, **options):
    return upsample(model, low, recipe, keys=sample_keys(seed, len(low)), **options)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_picture_does_not_depend_on_how_many_are_drawn(upsampler, low, recipe):
    five = draw(upsampler, low, recipe)
    assert five.shape == (5, 3, 32, 32)
    split = draw(upsampler, low, replace(recipe, max_batch=2))
    single = draw(upsampler, low[:1], recipe)
    assert (five - split).abs().max() < 1e-4
    assert (five[:1] - single).abs().max() < 1e-4


def test_a_picture_depends_on_its_key_its_small_picture_and_the_level(upsampler, low):
    plain = draw(upsampler, low)
    assert torch.equal(draw(upsampler, low), plain)
    assert torch.equal(draw(upsampler, low, level=upsampler.upsampling.level), plain)
    for other in (
        draw(upsampler, low, seed=4),
        draw(upsampler, low.flip(3)),
        draw(upsampler, low, level=0.3),
    ):
        assert (other - plain).abs().amax((1, 2, 3)).min() > 0.01


def test_a_file_of_eight_bits_gives_the_same(upsampler, low):
    assert torch.equal(draw(upsampler, low), draw(upsampler, requantised(low)))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_network_that_is_sure_of_a_picture_draws_it(upsampler, low, recipe, monkeypatch):
    """The v whose x_0 is the enlarged small picture gives that picture, whatever the noise."""

    def sure(self, x_t, t, enlarged, signals):
        alpha, sigma = self.process.alpha_sigma(t, x_t)
        return (alpha * x_t - enlarged) / sigma

    monkeypatch.setattr(UpsamplerModel, "predict", sure)
    expected = upsampler.enlarge(requantised(low)).clamp(-1, 1)
    found = draw(upsampler, low, recipe, level=0.0)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_progress_is_told_for_all_chunks(upsampler, low):
    told = []
    draw(upsampler, low, replace(FAST, max_batch=2), progress=lambda *step: told.append(step))
    assert told == [(i, 9) for i in range(1, 10)]


def test_an_unconditional_upsampler_runs_once_a_step_whatever_the_guidance(
    upsampler, low, monkeypatch
):
    sizes = []
    predict = UpsamplerModel.predict

    def counting(self, x_t, *rest):
        sizes.append(len(x_t))
        return predict(self, x_t, *rest)

    monkeypatch.setattr(UpsamplerModel, "predict", counting)
    plain = draw(upsampler, low)
    guided = draw(upsampler, low, replace(FAST, guidance=3.0))
    assert torch.equal(plain, guided)
    assert sizes == [5] * 6


@pytest.fixture
def knowing():
    """An upsampler that knows a condition."""
    model = UpsamplerModel(
        replace(UPSAMPLER, context_dim=8),
        ProcessConfig(prediction="v"),
        {"mean": FakeGlobal()},
        UpsamplingConfig(),
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_conditions_and_guidance_reach_the_pictures(knowing, low):
    model = knowing
    red, blue = torch.tensor([[[1.0, -1, -1]], [[-1.0, -1, 1]]])
    free = draw(model, low)
    reds, blues = (draw(model, low, values={"mean": value}) for value in (red, blue))
    each = draw(model, low, values={"mean": torch.cat([red, blue, red, red, red])})
    assert (free - reds).abs().max() > 1e-3
    assert (each[0] - reds[0]).abs().max() < 1e-4
    assert (each[1] - blues[1]).abs().max() < 1e-4
    guided = draw(model, low, replace(FAST, guidance=3.0), values={"mean": red})
    assert (guided - reds).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("change", "like"),
    [
        ({"guidance": 3.0, "guidance_end": 0.0}, None),
        ({"guidance": 3.0, "guidance_start": 0.1}, None),
        ({"guidance": 3.0, "rescale": 1.0}, {"guidance": 3.0}),
        ({"threshold": 1.0}, {}),
        ({"conditions": {"mean": ConditionGuidance(weight=0.5)}}, {}),
        ({"conditions": {"mean": ConditionGuidance(region="0,0,1,0.5")}}, {}),
    ],
)
def test_a_recipe_is_honoured(knowing, low, change, like):
    given = {"mean": torch.tensor([[[1.0, -1, -1]]])}
    found = draw(knowing, low, replace(FAST, **change), values=given)
    for plain in ({}, {"guidance": 3.0}) if like is None else (like,):
        other = draw(knowing, low, replace(FAST, **plain), values=given)
        assert (found - other).abs().max() > 1e-3
    assert found.abs().max() <= 1


def test_at_weight_zero_a_condition_is_as_absent(knowing, low):
    recipe = replace(FAST, conditions={"mean": ConditionGuidance(weight=0.0)})
    found = draw(knowing, low, recipe, values={"mean": torch.tensor([[[1.0, -1, -1]]])})
    assert torch.equal(found, draw(knowing, low))
    never = replace(FAST, guidance=3.0, guidance_start=0.999, guidance_end=0.9991)
    given = {"mean": torch.tensor([[[1.0, -1, -1]]])}
    assert torch.equal(draw(knowing, low, never, values=given), draw(knowing, low, values=given))


def test_a_threshold_is_refused_where_residuals_are_diffused(low):
    model = UpsamplerModel(
        UPSAMPLER, ProcessConfig(prediction="v"), {}, UpsamplingConfig(residual=5.0)
    )
    with pytest.raises(UserInputError, match=r"expected no threshold.*found 0\.9\. Next: leave"):
        draw(model, low, replace(FAST, threshold=0.9))
    draw(model, low[:1], FAST)


def test_sides_that_are_needed_follow_from_network_and_factor(upsampler):
    assert low_multiple(upsampler) == 2, "4 pixels of the large picture"
    wide = UpsamplerModel(UPSAMPLER, ProcessConfig(), {}, UpsamplingConfig(factor=4))
    assert low_multiple(wide) == 1


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda low: low[:, :, :15], {}, "multiples of 2, found 15x16"),
        (lambda low: low[:, :, :0], {}, "found 0x16"),
        (lambda low: low, {"level": 0.9}, "a level in 0..0.4, as trained, found 0.9"),
        (lambda low: low, {"level": float("nan")}, "found nan"),
        (lambda low: low, {"keys": torch.tensor([1])}, "one key a picture, found 1 for 5"),
    ],
)
def test_what_cannot_be_upsampled_is_refused(upsampler, low, change, options, message):
    options = {"keys": sample_keys(0, 5), **options}
    with pytest.raises(UserInputError, match=message):
        upsample(upsampler, change(low), FAST, **options)
