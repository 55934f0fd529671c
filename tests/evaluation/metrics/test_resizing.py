"""Resizes against the libraries whose names they carry."""

import numpy as np
import pytest
import torch

from composer_pl.errors import UserInputError
from composer_pl.evaluation.metrics.resizing import RESIZES, resized

SIZES = [(64, 64), (256, 256), (311, 420), (299, 128)]


def pictures(size, count=2):
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randint(0, 256, (count, 3, *size), generator=generator, dtype=torch.uint8)


@pytest.mark.filterwarnings("ignore:'mode' parameter")  # of Pillow, at clean-fid's call
@pytest.mark.parametrize("size", SIZES)
def test_clean_is_clean_fids(size):
    """To 5e-5 of 255; torch's own antialiased bicubic is off by a hundred times that."""
    from cleanfid.resize import build_resizer

    resizer = build_resizer("clean")
    batch = pictures(size)
    theirs = [resizer(picture.permute(1, 2, 0).numpy()) for picture in batch]
    expected = torch.tensor(np.stack(theirs)).permute(0, 3, 1, 2)
    torch.testing.assert_close(resized(batch.float(), 299, "clean"), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_torch_is_torchmetrics(size):
    batch = pictures(size).float()
    expected = torch.nn.functional.interpolate(
        batch, size=(299, 299), mode="bilinear", antialias=True, align_corners=False
    )
    torch.testing.assert_close(resized(batch, 299, "torch"), expected, atol=0, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_tensorflow_is_torch_fidelitys(size):
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    batch = pictures(size).float()
    expected = interpolate_bilinear_2d_like_tensorflow1x(batch, (299, 299), align_corners=False)
    torch.testing.assert_close(resized(batch, 299, "tensorflow"), expected, atol=2e-4, rtol=0)


def test_pytorch_fid_takes_no_antialias():
    batch = pictures((500, 500)).float()
    expected = torch.nn.functional.interpolate(batch, size=(299, 299), mode="bilinear")
    torch.testing.assert_close(resized(batch, 299, "pytorch-fid"), expected, atol=0, rtol=0)


@pytest.mark.parametrize("how", RESIZES)
def test_pictures_of_the_side_stay_as_they_are(how):
    batch = pictures((16, 16)).float()
    assert torch.equal(resized(batch, 16, how), batch)


@pytest.mark.parametrize("how", RESIZES)
def test_one_colour_stays_one_colour(how):
    batch = torch.full((1, 3, 40, 24), 201.0)
    torch.testing.assert_close(resized(batch, 17, how), torch.full((1, 3, 17, 17), 201.0))


def test_fine_stripes_become_grey_only_with_antialias():
    stripes = torch.zeros(1, 3, 256, 256)
    stripes[..., ::2] = 255.0
    spread = {how: float(resized(stripes, 64, how)[..., 2:-2].std()) for how in RESIZES}
    assert spread["clean"] < 1
    assert spread["torch"] < 1
    assert float(resized(stripes, 64, "tensorflow").mean()) == pytest.approx(255.0)  # every 4th


def test_an_unknown_resize_is_refused():
    with pytest.raises(UserInputError, match="did you mean 'clean'"):
        resized(torch.zeros(1, 3, 8, 8), 4, "claen")
