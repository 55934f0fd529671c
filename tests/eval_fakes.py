"""Tiny untrained models on disk for the protocols of `composer-pl eval`, and what they say."""

import torch
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel


def save_tiny(folder, plugins, config=TINY, *, seed=0):
    """Write a model whose answers depend on its conditions."""
    torch.manual_seed(seed)
    model = ComposerModel(config, ProcessConfig(prediction="v"), plugins)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    Composer(model).save_pretrained(folder)


def one_mistake(capsys):
    """The one line that a mistake was told in, remarks on what is left out aside."""
    told = [line for line in capsys.readouterr().err.splitlines() if "is left out" not in line]
    assert len(told) == 1, told
    assert "Next: " in told[0]
    return told[0]
