"""Upsamplers one after the other: sizes, noise of their own, mistakes."""

from dataclasses import replace

import pytest
import torch
from tiny import UPSAMPLER

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.models.cascade import check_cascade, upsample_in_stages
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig
from composer_pl.models.upsampling import upsample

RECIPE = SamplingRecipe(steps=2, guidance=1.0)
KEYS = torch.tensor([4, 5])


def made(resolution, factor, seed=0):
    torch.manual_seed(seed)
    model = UpsamplerModel(
        replace(UPSAMPLER, resolution=resolution),
        ProcessConfig(prediction="v"),
        {},
        UpsamplingConfig(factor=factor),
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def stages():
    return [made(16, 4), made(64, 4, seed=1)]


def low():
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_stages_follow_each_other_with_noise_of_their_own(stages):
    told = []
    found = upsample_in_stages(
        stages, low(), RECIPE, keys=KEYS, progress=lambda done, total: told.append((done, total))
    )
    assert found.shape == (2, 3, 64, 64)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    first = upsample(stages[0], low(), RECIPE, keys=KEYS)
    assert torch.equal(upsample_in_stages(stages[:1], low(), RECIPE, keys=KEYS), first)
    same_noise = upsample(stages[1], first, RECIPE, keys=KEYS)
    assert not torch.allclose(found, same_noise), "the second stage has a key of its own"


def test_each_stage_may_have_its_recipe_and_tiles(stages):
    tilings = [None, Tiling(side=32, overlap=8)]
    several = [RECIPE, SamplingRecipe(steps=1, guidance=1.0, max_batch=1)]
    told = []
    found = upsample_in_stages(
        stages,
        low(),
        several,
        keys=KEYS,
        tilings=tilings,
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.shape == (2, 3, 64, 64)
    assert told[-1] == (4, 4)


def test_models_that_do_not_follow_each_other_are_refused(stages):
    with pytest.raises(UserInputError, match="expected one from 64 px"):
        check_cascade(stages[::-1])
    with pytest.raises(UserInputError, match="expected at least one"):
        check_cascade([])
    with pytest.raises(UserInputError, match="expected one or 2 sampling recipes, found 3"):
        upsample_in_stages(stages, low(), [RECIPE] * 3, keys=KEYS)
