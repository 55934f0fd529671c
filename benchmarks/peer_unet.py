"""The rival: diffusers' UNet2DConditionModel in the block types of Karlo, an open unCLIP.

It is the fastest fair rival on a CPU, and the same network as ours: equal parameter counts, equal
FLOPs and, with the same weights, equal outputs.
"""

from dataclasses import replace
from itertools import chain

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from composer_pl.backbones.attention import AttentionBlock
from composer_pl.backbones.blocks import ResBlock
from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.types import ConditionSignals

SMALL = UNetConfig(
    channels=64,
    num_res_blocks=2,
    context_dim=256,
    hint_channels=0,
    dropout=0.0,
    out_channels=3,
)
"""The 27 M network of goals G1 and G3a; context of 77 tokens."""

BASE = UNetConfig(dropout=0.0)
"""The 2.1 B network of goals G2 and G3b; context of 85 tokens."""

TINY = replace(SMALL, channels=32, num_res_blocks=1, head_dim=32, resolution=16)
"""For dry runs."""


def build_peer(config: UNetConfig) -> UNet2DConditionModel:
    """The diffusers network of the same layout; hints enter as further input channels."""
    levels = range(len(config.channel_mult))
    attends = [level in config.attention_levels for level in levels]
    down = ["SimpleCrossAttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in attends]
    up = ["SimpleCrossAttnUpBlock2D" if a else "ResnetUpsampleBlock2D" for a in attends]
    return UNet2DConditionModel(
        sample_size=config.resolution,
        in_channels=config.in_channels + config.hint_channels,
        out_channels=config.out_channels,
        down_block_types=tuple(down),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=tuple(reversed(up)),
        block_out_channels=tuple(config.channels * mult for mult in config.channel_mult),
        layers_per_block=config.num_res_blocks,
        cross_attention_dim=config.context_dim,
        attention_head_dim=config.head_dim,
        resnet_time_scale_shift="scale_shift",
        dropout=config.dropout,
    )


@torch.no_grad()
def copy_weights(peer: UNet2DConditionModel, ours: UNet) -> None:
    """Give our network the rival's weights, so that their outputs can be compared."""
    steps = [(peer.time_embedding.linear_1, ours.time[0]), (peer.conv_in, ours.stem)]
    steps += [(peer.time_embedding.linear_2, ours.time[2])]
    steps += [(peer.conv_norm_out, ours.norm_out), (peer.conv_out, ours.head)]
    for theirs, mine in steps:
        mine.load_state_dict(theirs.state_dict())
    stages = chain(ours.encoder, ours.middle, ours.decoder)
    blocks = [b for stage in stages for b in (stage.res, stage.attention, stage.up) if b]
    for theirs, mine in zip(_peer_blocks(peer), blocks, strict=True):
        if isinstance(mine, ResBlock):
            _copy_res(theirs, mine)
        else:
            _copy_attention(theirs, mine)


def _peer_blocks(peer: UNet2DConditionModel) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for group in (*peer.down_blocks, peer.mid_block, *peer.up_blocks):
        attentions = getattr(group, "attentions", [])
        for index, resnet in enumerate(group.resnets):
            blocks += [resnet, *attentions[index : index + 1]]
        resample = getattr(group, "downsamplers", None) or getattr(group, "upsamplers", None)
        blocks += list(resample or [])
    return blocks


def _copy_res(theirs: nn.Module, mine: ResBlock) -> None:
    for source, target in (
        (theirs.norm1, mine.norm_in),
        (theirs.conv1, mine.conv_in),
        (theirs.time_emb_proj, mine.film),
        (theirs.norm2, mine.norm_out),
        (theirs.conv2, mine.conv_out),
    ):
        target.load_state_dict(source.state_dict())
    if theirs.conv_shortcut is not None:
        mine.skip.load_state_dict(theirs.conv_shortcut.state_dict())


def _copy_attention(theirs: nn.Module, mine: AttentionBlock) -> None:
    mine.norm.load_state_dict(theirs.group_norm.state_dict())
    mine.project.load_state_dict(theirs.to_out[0].state_dict())
    for target, sources in (
        (mine.to_qkv, (theirs.to_q, theirs.to_k, theirs.to_v)),
        (mine.context_to_kv, (theirs.add_k_proj, theirs.add_v_proj)),
    ):
        target.weight.copy_(torch.cat([source.weight for source in sources]))
        target.bias.copy_(torch.cat([source.bias for source in sources]))


def inputs(
    config: UNetConfig, batch: int, *, tokens: int, device: str = "cpu"
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Random x_t, t, context and hint."""
    side = config.resolution
    x_t = torch.randn(batch, config.in_channels, side, side, device=device)
    t = torch.randint(0, 1000, (batch,), device=device)
    context = torch.randn(batch, tokens, config.context_dim, device=device)
    if not config.hint_channels:
        return x_t, t, context, None
    return x_t, t, context, torch.randn(batch, config.hint_channels, side, side, device=device)


def run_ours(model: nn.Module, x_t: Tensor, t: Tensor, context: Tensor, hint: Tensor | None):
    """One forward of our network, with the mask that training needs though nothing is absent."""
    present = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    return model(x_t, t, ConditionSignals(context=context, context_mask=present, hint=hint))


def run_peer(model: nn.Module, x_t: Tensor, t: Tensor, context: Tensor, hint: Tensor | None):
    """One forward of the rival."""
    sample = x_t if hint is None else torch.cat([x_t, hint], dim=1)
    return model(sample, t, encoder_hidden_states=context).sample


def parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def assert_same_work(config: UNetConfig, *, tokens: int) -> dict[str, int]:
    """Equal parameters (within 1 %) and equal FLOPs, counted without running anything."""
    with torch.device("meta"):
        ours, peer = UNet(config), build_peer(config)
        arguments = inputs(config, 1, tokens=tokens, device="meta")
        with FlopCounterMode(display=False) as our_flops:
            run_ours(ours, *arguments)
        with FlopCounterMode(display=False) as peer_flops:
            run_peer(peer, *arguments)
    mine, theirs = parameters(ours), parameters(peer)
    assert abs(mine - theirs) <= 0.01 * theirs, (mine, theirs)
    flops, flops_peer = our_flops.get_total_flops(), peer_flops.get_total_flops()
    assert abs(flops - flops_peer) <= 1e-3 * flops_peer, (flops, flops_peer)
    return {"parameters": mine, "peer_parameters": theirs, "flops": flops, "peer_flops": flops_peer}


@torch.no_grad()
def assert_same_output(
    ours: nn.Module, peer: nn.Module, arguments: tuple, *, tolerance: float = 1e-4
) -> float:
    """With equal weights the outputs agree; returns the largest difference, as a share of range."""
    mine = run_ours(ours, *arguments).float()
    theirs = run_peer(peer, *arguments).float()
    error = float((mine - theirs).abs().max() / theirs.abs().max())
    assert error <= tolerance, f"outputs differ by {error:.2g} of their range"
    return error
