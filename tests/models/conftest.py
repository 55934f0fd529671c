"""Tiny models whose output is not zero."""

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from tiny import TINY, UPSAMPLER

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig


@pytest.fixture
def model():
    torch.manual_seed(0)
    built = ComposerModel(
        TINY, ProcessConfig(prediction="v"), {"mean": FakeGlobal(), "grey": FakeLocal()}
    )
    for parameter in built.parameters():  # the last layers start at zero
        torch.nn.init.normal_(parameter, std=0.1)
    return built.eval().requires_grad_(False)


@pytest.fixture
def upsampler():
    torch.manual_seed(0)
    built = UpsamplerModel(UPSAMPLER, ProcessConfig(prediction="v"), {}, UpsamplingConfig())
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return built.eval().requires_grad_(False)


@pytest.fixture
def values():
    generator = torch.Generator().manual_seed(1)
    return {
        "mean": torch.rand(3, 3, generator=generator),
        "grey": torch.rand(3, 1, 32, 32, generator=generator),
    }
