"""Facts about the condition `intensity`."""

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.plugin import ConfigError, UserInputError
from composer_pl.plugin.testing import PluginContract
from composer_pl_intensity import Intensity
from composer_pl_intensity.greys import GREYS, Grey


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self):
        return Intensity()


def pictures(count, side=8, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("name", GREYS)
def test_weights_are_convex_and_a_grey_picture_maps_to_itself(name):
    weights = GREYS[name]
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    grey = pictures(2)[:, :1]
    value = Intensity(greys=[name]).build_extractor()(grey.expand(-1, 3, -1, -1), torch.arange(2))
    torch.testing.assert_close(value, grey)


def test_single_channels_are_that_channel_exactly():
    image = pictures(1)
    for channel, name in enumerate(("red", "green", "blue")):
        value = Intensity(greys=[name]).build_extractor()(image, torch.tensor([5]))
        assert torch.equal(value, image[:, channel : channel + 1])


def test_rec601_agrees_with_pillow_within_one_level():
    levels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = torch.from_numpy(levels).permute(2, 0, 1)[None] / 127.5 - 1
    value = Intensity(greys=["rec601"]).build_extractor()(image, torch.tensor([1]))
    expected = np.asarray(Image.fromarray(levels).convert("L")).astype(float)
    assert np.abs((value[0, 0].numpy() + 1) * 127.5 - expected).max() <= 1


def test_weights_are_drawn_uniformly_from_the_set():
    count = 6000
    drawn = Grey(tuple(GREYS)).draw(torch.arange(count) * 7919)
    share = torch.bincount(drawn, minlength=len(GREYS)) / count
    # Four standard deviations of a binomial share.
    assert (share - 1 / 6).abs().max() < 4 * (1 / 6 * 5 / 6 / count) ** 0.5


def test_value_depends_on_the_key_alone_and_not_on_the_batch():
    extractor = Intensity().build_extractor()
    image, keys = pictures(4), torch.tensor([3, 1 << 62, 5, 7])
    together = extractor(image, keys)
    torch.manual_seed(1)
    alone = torch.cat([extractor(image[i : i + 1], keys[i : i + 1]) for i in (3, 2, 1, 0)]).flip(0)
    assert torch.equal(together, alone)


def test_adherence_is_one_whichever_weights_made_the_value():
    plugin, image = Intensity(), pictures(12)
    extractor = plugin.build_extractor()
    value = extractor(image, torch.arange(12))
    torch.testing.assert_close(
        plugin.adherence(image, value, extractor=extractor), torch.ones(12), atol=1e-6, rtol=0
    )
    other = plugin.adherence(image.flip(0), value, extractor=extractor)
    assert (other < 0.9).all()


def test_adherence_of_a_negative_of_black_and_white_is_zero():
    plugin = Intensity()
    black = -torch.ones(1, 3, 4, 4)
    score = plugin.adherence(black, torch.ones(1, 1, 4, 4), extractor=plugin.build_extractor())
    assert score.item() == pytest.approx(0)


def test_unknown_or_empty_set_is_refused_by_name():
    with pytest.raises(ConfigError, match="rec602"):
        Intensity(greys=["rec602"]).build_extractor()
    with pytest.raises(ConfigError, match="found none"):
        Intensity(greys=[]).build_extractor()


def test_lists_and_tuples_configure_the_same_plugin():
    assert Intensity(greys=["mean"]) == Intensity(greys=("mean",))
    assert Intensity().drop_prob == 0.7


def test_eight_and_sixteen_bit_files_read_alike(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    plugin = Intensity()
    eight, sixteen = plugin.read(tmp_path / "8.png"), plugin.read(tmp_path / "16.png")
    assert eight.shape == (1, 16, 16)
    assert (eight.min(), eight.max()) == (-1, 1)
    torch.testing.assert_close(eight, sixteen)


@pytest.mark.parametrize(
    ("levels", "white"),
    [
        (np.arange(256, dtype=np.uint16), 255),
        (np.arange(4096, dtype=np.uint16), 4095),
        (np.array([0, 1], np.uint16), 1),
        (np.array([0, 1], np.uint8), 1),
    ],
)
def test_files_that_use_few_of_their_bits_are_stretched_with_a_word(tmp_path, levels, white):
    Image.fromarray(levels[None]).save(tmp_path / "few.png")
    with pytest.warns(
        UserWarning, match=rf"few\.png.*none above {white}, taken as 0\.\.{white}. N"
    ):
        value = Intensity().read(tmp_path / "few.png")
    expected = torch.from_numpy(levels / white * 2 - 1).float()[None, None]
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize(("levels", "white"), [([0, 0], 255), ([0, 2], 255), ([0, 4096], 65535)])
def test_dark_files_stay_dark(tmp_path, levels, white):
    kind = np.uint8 if white == 255 else np.uint16
    Image.fromarray(np.array([levels], kind)).save(tmp_path / "dark.png")
    value = Intensity().read(tmp_path / "dark.png")
    torch.testing.assert_close(value, torch.tensor([[levels]]) / white * 2 - 1)


def test_floating_point_files_read_from_zero_to_one_and_no_further(tmp_path):
    levels = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(levels).save(tmp_path / "unit.tiff")
    value = Intensity().read(tmp_path / "unit.tiff")
    torch.testing.assert_close(value, torch.linspace(-1, 1, 12).view(1, 3, 4))
    for wrong in (levels * 255, levels - 1, levels * np.nan):
        Image.fromarray(wrong).save(tmp_path / "other.tiff")
        with pytest.raises(UserInputError, match=r"other\.tiff.*floating point.*Next:"):
            Intensity().read(tmp_path / "other.tiff")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 50), (65, 97)])
@pytest.mark.parametrize("level", [-1.0, 0.3, 1.0])
def test_a_picture_of_one_grey_is_that_grey_at_any_size(size, level):
    plugin = Intensity()
    extractor = plugin.build_extractor()
    image = torch.full((2, 3, *size), level)
    value = extractor(image, torch.tensor([1, 2]))
    torch.testing.assert_close(value, image[:, :1])
    assert plugin.visualize(value).shape == (2, 3, *size)
    assert plugin.adherence(image, value, extractor=extractor).min() > 1 - 1e-6


def test_transparent_parts_read_as_white_and_orientation_is_applied(tmp_path):
    Image.new("RGBA", (4, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert torch.equal(Intensity().read(tmp_path / "clear.png"), torch.ones(1, 2, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (4, 2)).save(tmp_path / "turned.jpg", exif=exif)
    assert Intensity().read(tmp_path / "turned.jpg").shape == (1, 4, 2)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(UserInputError, match=r"note\.png"):
        Intensity().read(tmp_path / "note.png")
    with pytest.raises(UserInputError, match=r"absent\.png"):
        Intensity().read(tmp_path / "absent.png")
    (tmp_path / "header.pgm").write_bytes(b"P5 4x 4 255 ")  # pillow raises a ValueError
    for name in ("header.pgm", "with\0nul.png"):
        with pytest.raises(UserInputError, match="Next:"):
            Intensity().read(tmp_path / name)
