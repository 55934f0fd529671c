"""Plain measures against closed forms and scikit-image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from composer_pl.evaluation.plain import (
    correlation,
    edge_steepness,
    known_pixels,
    lab,
    lab_agreement,
    outline_f1,
    psnr,
    set_f1,
    slopes,
    ssim,
)


def pictures(count, side=32):
    """Smooth random pictures in [-1, 1]."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)


def test_f1_of_sets():
    found = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 0, 1]]).bool()
    wanted = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 0, 0]]).bool()
    assert set_f1(found, wanted).tolist() == [0.5, 1.0, 0.0]


def test_ssim_and_lab_are_those_of_scikit_image():
    from skimage.color import rgb2lab
    from skimage.metrics import structural_similarity

    image = pictures(2)
    a, b = ((image + 1) / 2)[:, 0]
    wanted = structural_similarity(a.numpy(), b.numpy(), data_range=1.0, win_size=7)
    # scikit-image averages all pixels but a border of three: so do windows without padding.
    assert ssim(a[None], b[None]).item() == pytest.approx(wanted, abs=1e-5)
    theirs = rgb2lab(((image[0] + 1) / 2).permute(1, 2, 0).double().numpy())
    assert np.abs(lab(image[:1])[0].permute(1, 2, 0).numpy() - theirs).max() < 0.05


def test_lines_are_found_within_a_pixel_and_no_farther():
    wanted = torch.zeros(1, 16, 16, dtype=torch.bool)
    wanted[:, :, 5] = True
    scores = [outline_f1(wanted.roll(shift, 2), wanted).item() for shift in (0, 1, 2)]
    assert scores == [1, 1, 0]
    nothing = torch.zeros_like(wanted)
    assert [outline_f1(a, b).item() for a, b in ((nothing, wanted), (wanted, nothing))] == [0, 0]
    assert outline_f1(nothing, nothing).item() == 1


def test_steepness_on_an_outline_is_the_chance_pair_by_pair():
    """Of a grey of few levels, so that many slopes are equal: each such pair counts half."""
    grey = (pictures(2, side=12)[:, 0] * 2).round() / 4 + 0.5
    shape = torch.zeros(2, 12, 12, dtype=torch.bool)
    shape[0, 3:9, 3:9] = True
    shape[1, :, 6:] = True
    steep = slopes(grey).square().sum(1)
    for picture in range(2):
        near, far = (
            F.max_pool2d(side[None, None].float(), 3, 1, 1)[0, 0] > 0
            for side in (shape[picture], ~shape[picture])
        )
        on = steep[picture][near & far]
        off = steep[picture][~(near & far)]
        chance = ((on[:, None] > off).double() + (on[:, None] == off).double() / 2).mean()
        found = edge_steepness(grey[picture : picture + 1], shape[picture : picture + 1])
        assert found.item() == pytest.approx(chance.item(), abs=1e-6)
    assert edge_steepness(torch.full((2, 12, 12), 0.5), shape).tolist() == [0.5, 0.5]
    assert edge_steepness(grey, torch.zeros_like(shape)).isnan().all()


def test_correlation_knows_no_scale_and_shift():
    depth = pictures(3)[:, 0]
    torch.testing.assert_close(correlation(0.2 * depth + 0.3, depth), torch.ones(3))
    torch.testing.assert_close(correlation(-depth, depth), -torch.ones(3))
    assert correlation(torch.zeros(3, 32, 32), depth).tolist() == [0, 0, 0]


def test_colours_count_wherever_they_are():
    image = pictures(2)
    torch.testing.assert_close(lab_agreement(image.flip(2), image), torch.ones(2))
    assert (lab_agreement(image.flip(1), image) < 0.95).all()


def test_only_known_pixels_count():
    image = pictures(1)
    known = torch.zeros(1, 32, 32, dtype=torch.bool)
    known[:, :10] = True
    spoilt = torch.where(known[:, None], image, -image)
    assert known_pixels(spoilt, image, known).item() == 1
    half = torch.where(known[:, None], image, image + 1)
    assert known_pixels(half, image, ~known).item() == pytest.approx(0.5)


def test_psnr_of_a_known_error():
    image = torch.zeros(1, 3, 8, 8)
    assert psnr(image + 0.2, image).item() == pytest.approx(20)
