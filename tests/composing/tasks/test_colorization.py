"""Palettes on pictures, and grey levels that are kept exactly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.composing.drawing import make
from composer_pl.composing.luma import luma_of, with_luma
from composer_pl.composing.panels import as_tensor
from composer_pl.composing.tasks.colorization import colorization
from composer_pl.composing.tasks.frame import INVERTING, TaskNeedsError, TaskSettings
from composer_pl.errors import UserInputError
from composer_pl.models.recipe import SamplingRecipe

QUICK = TaskSettings(n=1, recipe=SamplingRecipe(steps=2))
WALK = TaskSettings(n=1, recipe=replace(INVERTING, steps=2))
ROUNDING = 0.5 / 255 + 1e-6


def noise(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_given_luma_is_exact_but_for_rounding():
    luma = luma_of(as_tensor(noise(30, 40, seed=1)))
    after = as_tensor(with_luma(noise(30, 40), luma))
    assert (luma_of(after) - luma).abs().max() <= ROUNDING


def test_its_own_luma_changes_nothing():
    picture = noise(30, 40)
    assert with_luma(picture, luma_of(as_tensor(picture))).tobytes() == picture.tobytes()


def test_colours_keep_their_hue_and_pale_no_more_than_they_must():
    red = Image.new("RGB", (2, 1), (200, 50, 50))
    luma = torch.tensor([[[0.5, 1.0]]])
    fits, white = as_tensor(with_luma(red, luma))[:, 0].T
    own = luma_of(as_tensor(red))[0, 0, 0]
    torch.testing.assert_close(
        fits - 0.5, as_tensor(red)[:, 0, 0] - own, rtol=0, atol=0.005
    )  # there is room for the whole chroma
    assert white.eq(1).all()


def test_a_larger_luma_enlarges_the_picture():
    assert with_luma(noise(16, 16), torch.rand(1, 50, 40)).size == (40, 50)


def test_the_palette_is_anothers_or_by_hand(composer, photo, other):
    grey = composer.decompose(photo, names=["intensity"])["intensity"]
    by_picture = colorization(composer, photo, other).parts
    by_hand = colorization(composer, photo, "#c8280a").parts
    assert torch.equal(by_picture["intensity"], grey)
    torch.testing.assert_close(by_picture["color"], by_hand["color"])
    assert list(colorization(composer, photo, None).parts) == ["intensity"]
    assert "sketch" in colorization(composer, photo, other, keep=["sketch"]).parts


def test_the_way_by_inversion_changes_the_palette_alone(composer, photo, other):
    drawing = colorization(composer, photo, other, route="inversion", settings=WALK)
    own = composer.decompose(photo, names=["intensity", "color"])
    assert torch.equal(drawing.against["color"], own["color"])
    assert torch.equal(drawing.against["intensity"], drawing.parts["intensity"])
    assert torch.equal(drawing.noise, composer.invert(photo, own, recipe=WALK.recipe))


def test_kept_luma_comes_back_at_the_photos_own_size(composer, other):
    photo = noise(90, 140)
    drawing = colorization(composer, photo, other, keep_luma=True, settings=QUICK)
    (picture,) = make(composer, drawing).pictures
    square = as_tensor(photo.crop((25, 0, 115, 90)))
    assert picture.size == (90, 90)
    difference = (luma_of(as_tensor(picture)) - luma_of(square)).abs()
    assert difference.max() <= 2 * ROUNDING  # the wanted levels are recorded in 8 bits


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_pictures_of_every_mode_are_taken(composer, other, mode, tmp_path):
    picture = noise(40, 64).convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    picture.save(path)
    drawing = colorization(composer, path, other, keep_luma=True, settings=QUICK)
    assert make(composer, drawing).pictures[0].size == (40, 40)


def test_what_cannot_be_is_refused(composer, poor, photo, other):
    with pytest.raises(TaskNeedsError, match="colorization: it needs 'intensity' and 'color'"):
        colorization(poor, photo, other)
    with pytest.raises(UserInputError, match="no new one"):
        colorization(composer, photo, None, route="inversion", settings=WALK)
    with pytest.raises(UserInputError, match="'color' among them"):
        colorization(composer, photo, other, keep=["color"])
    with pytest.raises(UserInputError, match="expected a picture, whose pixels"):
        colorization(
            composer, composer.decompose(photo, names=["intensity"]), other, keep_luma=True
        )
