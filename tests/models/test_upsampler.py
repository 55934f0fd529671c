"""The upsampler: what it is given, its loss in closed form, its description and refusals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from tiny import UPSAMPLER

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError, ConfigError
from composer_pl.models.base import ComposerModel
from composer_pl.models.degradation import gaussian_blurred
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig, requantised

V = ProcessConfig(prediction="v")


def fresh(backbone=UPSAMPLER, process=V, conditions=(), **settings):
    return UpsamplerModel(backbone, process, dict(conditions), UpsamplingConfig(**settings))


def batch(count=3, side=32, factor=2):
    generator = torch.Generator().manual_seed(1)
    x_0 = 2 * torch.rand(count, 3, side, side, generator=generator) - 1
    small = (count, 3, side // factor, side // factor)
    return {
        "x_0": x_0,
        "low": torch.nn.functional.avg_pool2d(x_0, factor),
        "t": torch.tensor([10, 500, 990])[:count],
        "eps": torch.randn(x_0.shape, generator=generator),
        "level": torch.tensor([0.0, 0.1, 0.4])[:count],
        "low_noise": torch.randn(small, generator=generator),
    }


def test_a_fresh_network_answers_zero_so_the_loss_is_the_energy_of_its_target():
    model, given = fresh(), batch()
    alpha, sigma = model.process.alpha_sigma(given["t"], given["x_0"])
    target = alpha * given["eps"] - sigma * given["x_0"]
    expected = target.square().mean((1, 2, 3))
    torch.testing.assert_close(model.loss(**given), expected)
    # In expectation alpha^2 + sigma^2 / 3, as the pictures are uniform in [-1, 1].
    share = (alpha.square() + sigma.square() / 3).flatten()
    torch.testing.assert_close(expected, share, rtol=0.1, atol=0)


def test_the_loss_of_a_sample_does_not_depend_on_its_batch(upsampler):
    given = batch()
    together = upsampler.loss(**given)
    for i in range(3):
        alone = upsampler.loss(**{name: value[i : i + 1] for name, value in given.items()})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-5, atol=1e-6)


def test_the_small_picture_and_its_level_reach_the_output(upsampler):
    given = batch()
    loss = upsampler.loss(**given)
    for name in ("low", "level"):
        changed = upsampler.loss(**{**given, name: given[name].roll(1, 0)})
        assert (changed - loss).abs().min() > 1e-5, name
    unnoised = {**given, "level": torch.zeros(3)}
    other = {**unnoised, "low_noise": given["low_noise"].roll(1, 0)}
    assert torch.equal(upsampler.loss(**unnoised), upsampler.loss(**other)), "level 0 is no noise"


def test_noise_of_a_level_preserves_variance():
    generator = torch.Generator().manual_seed(0)
    low, noise = torch.randn(2, 4, 3, 64, 64, generator=generator)
    level = torch.tensor([0.0, 1 / 3, 0.5, 1.0])
    found = fresh().noised(low, level, noise)
    assert torch.equal(found[0], low[0])
    torch.testing.assert_close(found[1], math.sqrt(3) / 2 * low[1] + noise[1] / 2)
    torch.testing.assert_close(found[3], noise[3], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.var((1, 2, 3)), torch.ones(4), atol=0.03, rtol=0)


@pytest.mark.parametrize("factor", [2, 4])
def test_small_pictures_are_enlarged_as_pillow_does(factor):
    low = batch(1)["low"]
    size = (16 * factor, 16 * factor)
    expected = [
        np.asarray(Image.fromarray(channel.numpy()).resize(size, Image.Resampling.BICUBIC))
        for channel in low[0]
    ]
    found = fresh(factor=factor).enlarge(low)[0]
    torch.testing.assert_close(found, torch.from_numpy(np.stack(expected)), atol=1e-5, rtol=0)


def test_blur_is_the_gaussian_of_its_sigma():
    impulse = torch.zeros(1, 3, 5, 5)
    impulse[0, 1, 2, 2] = 1
    large = torch.zeros(1, 3, 10, 10)
    found = fresh(blur_sigma=0.6).shown(impulse, large, torch.tensor([1]))
    side = math.exp(-1 / (2 * 0.6**2))
    row = torch.tensor([0, side, 1, side, 0]) / (1 + 2 * side)
    torch.testing.assert_close(found[0, 1], row[:, None] * row)
    assert not found[0, ::2].any(), "channels do not mix"
    even = torch.full((2, 3, 4, 4), 0.7)
    torch.testing.assert_close(gaussian_blurred(even, 0.6), even)
    assert fresh().shown(impulse, large, torch.tensor([1])) is impulse


def test_blind_degradation_replaces_the_small_picture_by_a_worse_one():
    given, keys = batch(3, factor=4), torch.arange(3)
    shown = fresh(factor=4, degradation="bsr_light").shown(given["low"], given["x_0"], keys)
    assert shown.shape == given["low"].shape
    assert (shown - given["low"]).abs().mean() > 0.02


def test_a_factor_of_four_builds_and_learned_variance_too():
    process = ProcessConfig(prediction="v", variance="learned_range")
    model = fresh(replace(UPSAMPLER, out_channels=6), process, factor=4)
    assert model.low_resolution == 8
    assert model.loss(**batch(factor=4)).shape == (3,)


def test_any_size_works(upsampler):
    given = batch(2, side=40)
    assert upsampler.loss(**given).isfinite().all()


@pytest.mark.usefixtures("fake_plugins")
def test_conditions_are_possible_and_dropped_ones_say_nothing():
    backbone = replace(UPSAMPLER, hint_channels=4, context_dim=8, hint_scale=2)
    model = fresh(backbone, conditions={"mean": FakeGlobal(), "grey": FakeLocal()})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    given = batch()
    values = {"mean": torch.rand(3, 3), "grey": torch.rand(3, 1, 64, 64)}
    assert model.value_size(32, 32) == (64, 64)
    plain, kept = model.loss(**given), model.loss(**given, values=values)
    assert (plain - kept).abs().min() > 1e-5
    dropped = model.loss(**given, values=values, keep=model.keep((), 3))
    torch.testing.assert_close(dropped, plain)
    rebuilt = UpsamplerModel.from_description(json.loads(json.dumps(model.describe())))
    rebuilt.load_state_dict(model.state_dict())
    assert rebuilt.names == ("mean", "grey")


def test_a_handful_of_pictures_is_learned():
    torch.manual_seed(0)
    model = fresh(replace(UPSAMPLER, channels=32))
    given = batch(2, side=16)
    given["x_0"] = torch.linspace(-1, 1, 16) * torch.tensor([1, -1])[:, None, None, None]
    given["x_0"] = given["x_0"].expand(2, 3, 16, 16)
    given["low"] = torch.nn.functional.avg_pool2d(given["x_0"], 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    first = model.loss(**given).mean()
    for _ in range(20):
        model.loss(**given).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model.loss(**given).mean() < 0.4 * first


def test_requantised_pictures_are_those_of_a_file():
    levels = torch.arange(256, dtype=torch.uint8)
    kept = (levels.float() / 255 * 2 - 1).expand(1, 3, 1, 256)
    assert torch.equal(requantised(kept), kept)
    near = kept + 0.9 / 255 * torch.linspace(-1, 1, 256)
    assert torch.equal(requantised(near), kept)


def test_an_upsampler_is_rebuilt_from_its_description_as_json(upsampler):
    description = json.loads(json.dumps(upsampler.describe()))
    assert description["kind"] == "upsampler"
    rebuilt = UpsamplerModel.from_description(description)
    assert rebuilt.describe() == upsampler.describe()
    rebuilt.load_state_dict(upsampler.state_dict())


@pytest.mark.usefixtures("fake_plugins")
def test_kinds_are_told_apart(model, upsampler):
    with pytest.raises(CheckpointError, match="expected a base model, found an upsampler"):
        ComposerModel.from_description(upsampler.describe())
    with pytest.raises(CheckpointError, match="expected an upsampler, found a base model"):
        UpsamplerModel.from_description(model.describe())
    with pytest.raises(CheckpointError, match="found a model of kind 'other'"):
        UpsamplerModel.from_description({**upsampler.describe(), "kind": "other"})


@pytest.mark.usefixtures("fake_plugins")
def test_a_description_without_a_kind_is_of_a_base_model(model):
    old = {name: part for name, part in model.describe().items() if name != "kind"}
    assert ComposerModel.from_description(old).describe() == model.describe()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "expected format 1, found 99"),
        ({"backbone": {"width": 3}}, "damaged or foreign"),
        ({"upsampling": {"factor": 1}}, "factor must be from 2 to 8, found 1"),
        ({"upsampling": {"level": 0.9}}, "level must be in 0..max_level"),
        ({"upsampling": None}, "damaged or foreign"),
        ({"conditions": ["mean"]}, "damaged or foreign"),
    ],
)
def test_a_foreign_description_is_refused(upsampler, change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        UpsamplerModel.from_description({**upsampler.describe(), **change})
    assert str(caught.value).count("Next:") == 1


@pytest.mark.parametrize(
    ("backbone", "settings", "message"),
    [
        ({"in_channels": 3}, {}, "set model.backbone.in_channels to 6"),
        ({"out_channels": 6}, {}, "needs 3 output channels, found 6"),
        ({}, {"factor": 3}, "multiple of the factor 3, found 32"),
        ({}, {"max_level": 1.5}, "max_level must be in 0..1"),
        ({}, {"blur_sigma": -1}, "blur_sigma must be"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(backbone, settings, message):
    with pytest.raises(ConfigError, match=message):
        fresh(replace(UPSAMPLER, **backbone), **settings)


def test_local_conditions_need_hint_channels():
    with pytest.raises(ConfigError, match=r"local conditions \(grey\) need hint channels"):
        fresh(conditions={"grey": FakeLocal()})


def test_a_residual_is_what_enlarging_lacks_and_comes_back():
    model, given = fresh(residual=12.0), batch()
    lacking = model.diffused(given["x_0"], given["low"])
    expected = 12 * (given["x_0"] - model.enlarge(given["low"]))
    torch.testing.assert_close(lacking, expected)
    torch.testing.assert_close(model.undiffused(lacking, given["low"]), given["x_0"])
    alpha, sigma = model.process.alpha_sigma(given["t"], given["x_0"])
    target = alpha * given["eps"] - sigma * lacking
    torch.testing.assert_close(model.loss(**given), target.square().mean((1, 2, 3)))


def test_an_untrained_residual_upsampler_is_interpolation_within_the_residuals_deviation():
    from composer_pl.models.sampling import sample_keys
    from composer_pl.models.upsampling import upsample

    low = torch.linspace(-0.5, 0.5, 16).expand(2, 3, 16, 16)
    for scale, bound in ((10.0, 0.2), (100.0, 0.02)):
        model = fresh(residual=scale).eval()
        drawn = upsample(model, low, keys=sample_keys(0, 2))
        error = (drawn - model.enlarge(requantised(low))).square().mean().sqrt()
        assert float(error) < bound
    with pytest.raises(ConfigError, match="residual"):
        fresh(residual=-1.0)
