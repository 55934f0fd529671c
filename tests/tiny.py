"""The smallest models, shared by tests of several layers."""

import torch

from composer_pl.backbones.unet import UNetConfig
from composer_pl.composing.composer import Composer
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel

TINY = UNetConfig(
    channels=16,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_levels=(1,),
    head_dim=8,
    context_dim=8,
    hint_channels=4,
    hint_scale=2,
    dropout=0.0,
    out_channels=3,
    resolution=16,
)

UPSAMPLER = UNetConfig(
    channels=16,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_levels=(),
    head_dim=8,
    context_dim=0,
    hint_channels=0,
    hint_scale=1,
    dropout=0.0,
    in_channels=6,
    out_channels=3,
    patch_size=2,
    resolution=32,
)
"""An upsampler to 32 px: with a factor of 2 it fits `TINY`."""


def filled(model, *, seed=0):
    """A model with random weights: unlike a fresh one, its answers depend on its conditions."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def save_tiny(folder, plugins, config=TINY, *, seed=0):
    """Write a model whose answers depend on its conditions."""
    model = ComposerModel(config, ProcessConfig(prediction="v"), plugins)
    Composer(filled(model, seed=seed)).save_pretrained(folder)
