"""Sizes of the smallest model, shared by tests of several layers."""

from composer_pl.backbones.unet import UNetConfig

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
