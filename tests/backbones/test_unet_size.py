"""Parameters and FLOPs against a closed-form count, against known tables and against diffusers.

Nothing is allocated: networks are built on the meta device.
"""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.types import ConditionSignals

TOKENS = 85  # 77 words, 4 tokens of the image embedding, 4 of the palette


def analytic(config: UNetConfig, tokens: int) -> tuple[int, int]:
    """Parameters and multiply-adds of GLIDE's layout, from sizes alone.

    Written from the published description (ADM appendix A, GLIDE section 4) without looking at
    modules. Multiply-adds are those of convolutions, linear maps and attention products.
    """
    c, emb = config.channels, 4 * config.channels
    hidden = config.context_dim
    params = macs = 0

    def conv(size: int, inputs: int, outputs: int, area: int) -> None:
        nonlocal params, macs
        params += size * size * inputs * outputs + outputs
        macs += size * size * inputs * outputs * area

    def norm(width: int) -> None:
        nonlocal params
        params += 2 * width

    def res(inputs: int, outputs: int, area: int) -> None:
        norm(inputs)
        conv(3, inputs, outputs, area)
        conv(1, emb, 2 * outputs, 1)
        norm(outputs)
        conv(3, outputs, outputs, area)
        if inputs != outputs:
            conv(1, inputs, outputs, area)

    def attend(width: int, area: int) -> None:
        nonlocal macs
        norm(width)
        conv(1, width, 3 * width, area)
        conv(1, hidden, 2 * width, tokens)
        macs += 2 * width * area * (area + tokens)
        conv(1, width, width, area)

    conv(1, c, emb, 1)
    conv(1, emb, emb, 1)
    area = config.resolution**2
    conv(3, config.in_channels + config.hint_channels, c, area)
    widths = [c * mult for mult in config.channel_mult]
    n, top = config.num_res_blocks, len(widths) - 1
    skips = [c]
    below = c
    for level, width in enumerate(widths):
        for _ in range(n):
            res(below, width, area)
            if level in config.attention_levels:
                attend(width, area)
            below = width
            skips.append(width)
        if level < top:
            area //= 4
            res(width, width, area)
            skips.append(width)
    res(below, below, area)
    if config.attention_levels:
        attend(below, area)
    res(below, below, area)
    for level in range(top, -1, -1):
        width = widths[level]
        for _ in range(n + 1):
            res(below + skips.pop(), width, area)
            if level in config.attention_levels:
                attend(width, area)
            below = width
        if level:
            area *= 4
            res(width, width, area)
    norm(below)
    conv(3, below, config.out_channels, area)
    return params, macs


def counted(config: UNetConfig, tokens: int) -> tuple[int, int]:
    """Parameters and multiply-adds as torch sees them."""
    side = config.resolution
    with torch.device("meta"):
        model = UNet(config)
        given = ConditionSignals(
            time=torch.zeros(1, model.dims.time_dim),
            context=torch.zeros(1, tokens, config.context_dim) if config.context_dim else None,
            context_mask=torch.ones(1, tokens).bool() if config.context_dim else None,
            hint=torch.zeros(1, config.hint_channels, side, side),
        )
        with FlopCounterMode(display=False) as flops:
            model(torch.zeros(1, config.in_channels, side, side), torch.zeros(1), given)
    return sum(p.numel() for p in model.parameters()), flops.get_total_flops() // 2


def test_the_default_is_the_base_model_of_the_paper():
    params, macs = counted(UNetConfig(), TOKENS)
    assert (params, macs) == analytic(UNetConfig(), TOKENS)
    assert round(params / 1e6) == 2133
    assert macs / 1e9 == pytest.approx(757, rel=0.01)
    assert 2.05e9 < params < 2.25e9


@pytest.mark.parametrize(
    ("width", "blocks", "millions", "gigamacs"),
    [
        (320, 3, 842, 301),
        (256, 3, 542, 195),
        (192, 3, 308, 112),
        (128, 2, 108, 40),
        (64, 2, 29, 11),
    ],
)
def test_scaled_down_models_have_the_tabled_size(width, blocks, millions, gigamacs):
    config = UNetConfig(channels=width, num_res_blocks=blocks)
    params, macs = counted(config, TOKENS)
    assert (params, macs) == analytic(config, TOKENS)
    assert round(params / 1e6) == millions
    assert round(macs / 1e9) == gigamacs


@pytest.mark.parametrize(
    ("width", "mult", "blocks", "millions", "gigamacs"),
    [
        (384, (1, 2, 3, 4), 3, 1051, 382),
        (192, (1, 2, 3, 4), 2, 205, 76),
        (192, (1, 1, 2, 2, 4, 4), 2, 282, 39),
    ],
)
def test_upsamplers_without_attention_have_the_tabled_size(width, mult, blocks, millions, gigamacs):
    """The low-resolution picture takes the place of the hint; the last row is at 64 px here."""
    config = UNetConfig(
        channels=width,
        channel_mult=mult,
        num_res_blocks=blocks,
        attention_levels=(),
        context_dim=0,
        hint_channels=3,
        out_channels=3,
    )
    params, macs = counted(config, 0)
    assert (params, macs) == analytic(config, 0)
    assert round(params / 1e6) == millions
    assert macs / 1e9 == pytest.approx(gigamacs, abs=0.6)


def test_same_weights_give_the_outputs_of_diffusers(monkeypatch):
    """An independent implementation: the network that the benchmarks race against."""
    pytest.importorskip("diffusers")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    sys.modules.pop("peer_unet", None)
    import peer_unet

    torch.manual_seed(0)
    ours, peer = UNet(peer_unet.TINY).eval(), peer_unet.build_peer(peer_unet.TINY).eval()
    peer_unet.copy_weights(peer, ours)
    arguments = peer_unet.inputs(peer_unet.TINY, 2, tokens=7)
    assert peer_unet.assert_same_output(ours, peer, arguments, tolerance=1e-5) < 1e-5
    work = peer_unet.assert_same_work(peer_unet.TINY, tokens=7)
    assert work["parameters"] == work["peer_parameters"]
    assert work["flops"] == work["peer_flops"]
