"""Facts about regions as text."""

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.models.regions import carried, region_map


def test_a_box_covers_its_share_of_the_picture():
    found = region_map("0.25,0,1,0.5", (8, 6))
    assert found.shape == (1, 1, 8, 6)
    expected = torch.zeros(8, 6)
    expected[2:, :3] = 1
    assert torch.equal(found[0, 0], expected)
    half = region_map("0,0,0.5,1", (3, 2))  # a border inside a pixel is a grey one
    assert torch.equal(half[0, 0, :, 0], torch.tensor([1.0, 0.5, 0.0]))


def test_empty_is_everywhere():
    assert torch.equal(region_map("", (2, 3)), torch.ones(1, 1, 2, 3))


def test_a_mask_file_means_the_same_when_carried(tmp_path):
    pixels = np.zeros((16, 16), np.uint8)
    pixels[4:12, 8:] = 255
    path = tmp_path / "mask.png"
    Image.fromarray(pixels).save(path)
    text = carried(str(path))
    assert text.startswith("data:")
    assert carried(text) == text
    path.unlink()
    found = region_map(text, (8, 8))
    assert torch.equal(found[0, 0], torch.from_numpy(pixels[::2, ::2] / 255).float())
    assert region_map(text, (32, 32)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("text", ["0,0,2,1", "0.5,0,0.5,1", "1,2", "absent.png", "data:image/png;"])
def test_what_is_no_region_is_one_line(text):
    with pytest.raises(UserInputError, match="Reading the region"):
        region_map(text, (8, 8))


@pytest.mark.parametrize(
    ("size", "white", "problem"),
    [
        ((16, 16), 0, "no pixel lighter than mid-grey (the lightest is level 0 of 255)"),
        ((16, 16), 1, "white where the condition counts and black elsewhere, found white every"),
        ((32, 16), 0.5, "shape, 8 x 8 pixels before upsampling, found 32 x 16"),
        ((20, 16), 0.5, "found 20 x 16"),
        ((18, 16), 0.5, None),
        ((801, 800), 0.5, None),
        ((4, 4), 0.5, None),
    ],
)
def test_a_mask_of_nothing_of_all_or_of_another_shape_is_refused(tmp_path, size, white, problem):
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, round(white * size[0]), size[1]))
    mask.save(tmp_path / "mask.png")
    path = str(tmp_path / "mask.png")
    if problem is None:
        found = region_map(path, (8, 8))
        assert found[..., 0].min() > 0.9
        assert found[..., -1].max() < 0.1
        return
    with pytest.raises(UserInputError, match="Reading the region") as caught:
        region_map(path, (8, 8))
    assert problem in str(caught.value)
    assert "Next:" in str(caught.value)
    region_map(carried(path), (8, 8))  # records of before go on


def test_a_mask_of_faint_levels_is_a_region_of_faint_weights(tmp_path):
    pixels = np.full((8, 8), 64, np.uint8)
    pixels[:, 4:] = 192
    Image.fromarray(pixels).save(tmp_path / "soft.png")
    found = region_map(str(tmp_path / "soft.png"), (8, 8))
    assert torch.equal(found[0, 0], torch.from_numpy(pixels / 255).float())
