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
