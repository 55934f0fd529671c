"""Attention learned on crops, on larger maps: windows see what a crop shows, logits keep shares."""

import math

import pytest
import torch
from torch import nn

from composer_pl.backbones.attention import AttentionBlock

SIDE = 4
"""Side of the maps trained on: sixteen positions."""


def block(reach, *, norm=False, context_dim=0):
    torch.manual_seed(0)
    made = AttentionBlock(8, head_dim=4, context_dim=context_dim, reach=reach, trained_side=SIDE)
    nn.init.normal_(made.to_qkv.weight, std=0.4)  # a softmax that one key does not fill
    nn.init.normal_(made.project.weight, std=0.5)
    if not norm:
        made.norm = nn.Identity()  # whose mean and spread are over the whole map in any case
    return made


def spotted(side, spot):
    """A constant map with one position of another kind."""
    generator = torch.Generator().manual_seed(3)
    ground, other = torch.randn(2, 8, generator=generator)
    x = ground[:, None, None].repeat(1, side, side)
    x[:, spot[0], spot[1]] = 2 * other
    return x[None]


@pytest.mark.parametrize("reach", ["all", "windows", "log"])
def test_maps_of_the_trained_side_are_the_same_for_all(reach):
    x = torch.randn(2, 8, SIDE, SIDE)
    assert torch.equal(block(reach)(x), block("all")(x))


@pytest.mark.parametrize("context", [False, True])
def test_a_spot_on_a_constant_looks_the_same_at_full_size_as_in_a_crop(context):
    """In every window that holds the spot there are as many others as in the crop."""
    tokens = torch.randn(1, 3, 6) if context else None
    mask = torch.tensor([[True, True, False]]) if context else None
    dim = 6 if context else 0

    def at_spot(reach, side, spot):
        return block(reach, context_dim=dim)(spotted(side, spot), tokens, mask)[0, :, *spot]

    crop = at_spot("all", SIDE, (1, 2))
    windows = at_spot("windows", 4 * SIDE, (9, 6))
    everything = at_spot("all", 4 * SIDE, (9, 6))
    torch.testing.assert_close(windows, crop, atol=1e-5, rtol=0)
    assert (everything - crop).abs().max() > 0.02, "attention over everything drowns the spot"


def test_far_from_the_spot_windows_see_the_constant_alone():
    found = block("windows")(spotted(4 * SIDE, (1, 1)))
    constant = block("windows")(spotted(4 * SIDE, (1, 1))[:, :, -1:, -1:].expand(1, 8, SIDE, SIDE))
    torch.testing.assert_close(found[..., SIDE:, SIDE:], constant[..., :1, :1].expand(1, 8, 12, 12))


def test_a_periodic_map_gives_a_periodic_answer():
    """With a period of half a window, every window holds the same positions."""
    crop = torch.randn(1, 8, SIDE // 2, SIDE // 2).repeat(1, 1, 2, 2)
    large = crop.repeat(1, 1, 3, 5)
    found = block("windows", norm=True)(large)
    torch.testing.assert_close(found, block("all", norm=True)(crop).repeat(1, 1, 3, 5))


def test_windows_work_on_sides_that_no_window_divides():
    assert block("windows")(torch.randn(1, 8, 7, 3)).shape == (1, 8, 7, 3)


@pytest.mark.parametrize("side", [2 * SIDE, 4 * SIDE])
def test_sharpened_logits_keep_the_share_of_a_match(side):
    """A match log(n) above the rest has half of the weight, n / (2 n - 1), for every number n."""
    shares = {}
    for reach in ("all", "log"):
        made = AttentionBlock(1, head_dim=1, context_dim=0, reach=reach, trained_side=SIDE)
        made.norm = nn.Identity()
        # Queries are 1, keys log(16) times the map, values the map: the answer is the share.
        for layer, values in (
            (made.to_qkv.weight, [[0.0], [math.log(SIDE**2)], [1.0]]),
            (made.to_qkv.bias, [1.0, 0.0, 0.0]),
            (made.project.weight, [[1.0]]),
            (made.project.bias, [0.0]),
        ):
            layer.data = torch.tensor(values)
        x = torch.zeros(1, 1, side, side)
        x[..., 0, 0] = 1
        shares[reach] = made(x)[0, 0, -1, -1].item()
    n = side**2
    assert shares["log"] == pytest.approx(n / (2 * n - 1), rel=1e-5)
    assert shares["all"] == pytest.approx(SIDE**2 / (SIDE**2 + n - 1), rel=1e-5)
