"""Corruption of small pictures: JPEG beside Pillow's, blind degradation a function of the key."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from composer_pl.errors import ConfigError
from composer_pl.models.degradation import _RANGES, _blurred, _noisy, blind_degraded
from composer_pl.models.jpeg import jpeg


def pictures(count=2, height=50, width=44):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 12, 10, generator=generator)
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1) * 2 - 1


@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("quality", [20, 50, 95])
def test_jpeg_loses_what_a_file_of_pillow_loses(subsample, quality):
    given = pictures()
    found = jpeg(given, torch.full((2,), float(quality)), subsample=subsample)
    for ours, picture in zip(found, given, strict=True):
        pixels = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 * subsample)
        theirs = np.asarray(Image.open(file)).astype(float)
        difference = np.abs(((ours + 1) * 127.5).permute(1, 2, 0).numpy() - theirs).mean()
        lost = np.abs(theirs - pixels).mean()
        assert difference < 1.7, "grey levels; rounding at the borders of bins"
        assert difference < 0.65 * lost


def test_jpeg_of_an_even_grey_picture_is_the_picture():
    even = torch.full((1, 3, 9, 17), 128 / 127.5 - 1)  # level 128 has no frequency at all
    torch.testing.assert_close(jpeg(even, torch.tensor([10.0])), even)


def test_a_quality_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"expected qualities in 1..100, found 0 to 50"):
        jpeg(pictures(), torch.tensor([0.0, 50.0]))


@pytest.mark.parametrize("strength", ["bsr_light", "bsr"])
def test_a_degraded_picture_is_a_function_of_its_key(strength):
    given, keys = pictures(6, 64, 96), torch.arange(6)
    together = blind_degraded(given, factor=4, keys=keys, strength=strength)
    assert together.shape == (6, 3, 16, 24)
    levels = (together + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    torch.manual_seed(9)
    apart = torch.cat(
        [
            blind_degraded(given[i : i + 1], factor=4, keys=keys[i : i + 1], strength=strength)
            for i in range(6)
        ]
    )
    torch.testing.assert_close(together, apart, atol=2.1 / 127.5, rtol=0)  # rounding to 8 bits
    other = blind_degraded(given, factor=4, keys=keys + 6, strength=strength)
    assert (together - other).abs().mean((1, 2, 3)).min() > 1e-3


def test_the_full_strength_corrupts_more_than_the_light_one():
    given, keys = pictures(12, 64, 64), torch.arange(12)
    clean = F.interpolate(given, scale_factor=0.25, mode="bicubic", antialias=True)
    errors = [
        (blind_degraded(given, factor=4, keys=keys, strength=strength) - clean).square().mean()
        for strength in ("bsr_light", "bsr")
    ]
    assert 0 < errors[0] < errors[1]


def test_blurs_keep_brightness_and_spread_by_their_width():
    """The spread of a blurred point is sigma squared along each axis of the kernel."""
    x = torch.zeros(5, 3, 65, 65)
    x[..., 32, 32] = 1
    keys = torch.arange(5)
    found = _blurred(x, keys, "blur 0", 4, _RANGES["bsr"])
    torch.testing.assert_close(found.sum((2, 3)), torch.ones(5, 3), atol=1e-4, rtol=0)
    place = torch.arange(65.0) - 32
    rows = (found[:, 0].sum(2) * place**2).sum(1)
    columns = (found[:, 0].sum(1) * place**2).sum(1)
    assert (rows - columns).abs().max() > 0.5, "some are longer one way"
    assert (rows + columns).min() > 0


def test_noise_has_the_level_of_its_range():
    x = torch.zeros(400, 3, 8, 8)
    added = _noisy(x, torch.arange(400), _RANGES["bsr_light"]) * 127.5
    assert added.std().item() == pytest.approx((1 + 1 * 2 + 4) ** 0.5 / 3**0.5, rel=0.05)
    grey = (added == added[:, :1]).all(1).flatten(1).all(1).float().mean()
    assert grey.item() == pytest.approx(0.4, abs=0.08)
