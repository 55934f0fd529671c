"""Tiles: convolutions do not see them, borders do not show, and mistakes are told."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny import UPSAMPLER

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.tiling import Tiling, tiled
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig
from composer_pl.models.upsampling import upsample

TILING = Tiling(side=32, overlap=16)


def picture(height=80, width=104):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 3, height, width, generator=generator)


@pytest.mark.parametrize("size", [(80, 104), (32, 32), (16, 40), (33, 49)])
def test_the_identity_stays_the_identity(size):
    x = picture(*size)
    torch.testing.assert_close(tiled(lambda tile, where: tile, x, TILING), x)


def test_tiles_lie_where_the_network_is_told():
    x = picture()
    seen = []

    def network(tile, where):
        rows, columns = where
        assert torch.equal(tile, x[:, :, rows, columns])
        seen.append((rows.start, columns.start, *tile.shape[2:]))
        return tile

    tiled(network, x, TILING)
    assert {(top, left) for top, left, _, _ in seen} == {
        (top, left) for top in (0, 16, 32, 48) for left in (0, 16, 32, 48, 64, 72)
    }
    assert {size[2:] for size in seen} == {(32, 32)}


def test_convolutions_within_reach_of_the_overlap_give_what_they_give_without_tiles():
    """Two convolutions of 5 reach 4 pixels: a quarter of the overlap, and no more."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(8, 3, 5, 5, generator=generator)
    second = torch.randn(6, 8, 5, 5, generator=generator)

    def network(x, where=None):
        return F.conv2d(F.conv2d(x, first, padding=2).relu(), second, padding=2)

    x = picture()
    whole, parts = network(x), tiled(network, x, TILING)
    torch.testing.assert_close(parts, whole, atol=1e-3, rtol=1e-5)  # of values around 100
    nearer = tiled(network, x, Tiling(side=32, overlap=8))
    assert (nearer - whole).abs().max() > 1, "an overlap too small for that is told apart"


def small_upsampler():
    torch.manual_seed(0)
    backbone = replace(UPSAMPLER, trained_side=16)
    model = UpsamplerModel(
        backbone, ProcessConfig(prediction="v"), {}, UpsamplingConfig(factor=2, residual=4.0)
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


RECIPE = SamplingRecipe(steps=2, guidance=1.0)


def test_a_tiled_sample_is_a_function_of_its_key_and_near_the_untiled_one():
    """Group norms are the only thing that tells a tile from the whole; hence near, not equal."""
    model, tiling = small_upsampler(), Tiling(side=32, overlap=16)
    low = torch.rand(2, 3, 32, 32) * 2 - 1
    keys = torch.tensor([5, 6])
    whole = upsample(model, low, RECIPE, keys=keys)
    parts = upsample(model, low, RECIPE, keys=keys, tiling=tiling)
    assert torch.equal(parts, upsample(model, low, RECIPE, keys=keys, tiling=tiling))
    alone = upsample(model, low[1:], RECIPE, keys=keys[1:], tiling=tiling)
    torch.testing.assert_close(parts[1:], alone, atol=1e-4, rtol=0)
    contrast = (whole - model.enlarge(low)).abs().mean()
    assert (parts - whole).abs().mean() < 0.05 * contrast


def test_gradients_across_the_borders_of_tiles_are_not_larger_than_elsewhere():
    model, tiling = small_upsampler(), Tiling(side=32, overlap=16)
    low = torch.rand(1, 3, 48, 48) * 2 - 1
    found = upsample(model, low, RECIPE, keys=torch.tensor([1]), tiling=tiling)
    steps = (found[..., 1:] - found[..., :-1]).abs().mean((0, 1, 2))
    inner = steps[8:-8]
    borders = torch.tensor([x for x in range(16, 80) if x % 16 in (0, 15)]) - 8
    assert inner[borders].mean() < 1.1 * inner.mean()


def test_a_picture_no_larger_than_a_tile_is_run_whole():
    model = small_upsampler()
    low, keys = torch.rand(1, 3, 16, 16), torch.tensor([3])
    whole = upsample(model, low, RECIPE, keys=keys)
    assert torch.equal(whole, upsample(model, low, RECIPE, keys=keys, tiling=TILING))


@pytest.mark.parametrize("settings", [{"side": 4}, {"overlap": 0}, {"side": 32, "overlap": 24}])
def test_tiles_that_cannot_be_are_refused(settings):
    with pytest.raises(UserInputError, match="expected tiles of at least 8 pixels"):
        Tiling(**{"side": 64, "overlap": 16, **settings})


def test_tiles_that_do_not_suit_the_network_are_refused():
    model = small_upsampler()
    with pytest.raises(UserInputError, match="multiples of 4"):
        upsample(
            model,
            torch.rand(1, 3, 32, 32),
            RECIPE,
            keys=torch.tensor([1]),
            tiling=Tiling(side=30, overlap=10),
        )
