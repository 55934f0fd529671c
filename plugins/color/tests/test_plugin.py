import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from composer_pl.plugin import BackboneDims, ConfigError, UserInputError
from composer_pl.plugin.testing import PluginContract
from composer_pl_color import Color
from composer_pl_color.codebook import (
    BINS,
    ground_distance,
    reference_lab,
    reference_rgb,
    smoothing,
)
from composer_pl_color.lab import rgb_to_lab
from composer_pl_color.palette import PaletteExtractor, color_table, palette_distance

DIMS = BackboneDims(time_dim=32, context_dim=16, hint_channels=8, hint_scale=2)


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self):
        return Color()


@pytest.fixture(scope="module")
def table():
    return color_table()


def photo(side: int = 48, seed: int = 0) -> torch.Tensor:
    """A smooth picture with many colours, 8-bit levels, in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand((1, 3, 6, 6), generator=generator)
    large = torch.nn.functional.interpolate(small, size=side, mode="bicubic").clamp(0, 1)
    return (large * 255).round() / 127.5 - 1


def reference_palette(image: torch.Tensor, sigma: float = 10.0) -> np.ndarray:
    """The definition, pixel by pixel in float64, with scikit-image's Lab."""
    from skimage.color import rgb2lab

    pixels = (image.double().numpy()[0].transpose(1, 2, 0) + 1) / 2
    lab = rgb2lab(pixels).reshape(-1, 3)
    colors = rgb2lab(reference_rgb().numpy()[None])[0]
    histogram = np.zeros(BINS)
    for pixel in lab:
        histogram[((pixel - colors) ** 2).sum(1).argmin()] += 1 / len(lab)
    weights = np.exp(-((colors[:, None] - colors) ** 2).sum(2) / (2 * sigma**2))
    smoothed = (weights / weights.sum(1, keepdims=True) * histogram).sum(1)
    smoothed[smoothed < 1e-5] = 0
    return smoothed / smoothed.sum()


def test_lab_equals_scikit_image():
    from skimage.color import rgb2lab

    rgb = torch.rand((2, 3, 16, 16), dtype=torch.float64)
    rgb[0, :, 0] = torch.linspace(0, 0.05, 16, dtype=torch.float64)  # the straight parts
    expected = rgb2lab(rgb.numpy(), channel_axis=1)
    assert np.abs(rgb_to_lab(rgb).numpy() - expected).max() < 1e-9
    assert np.abs(rgb_to_lab(rgb.float()).numpy() - expected).max() < 1e-3


def test_codebook_is_thirteen_rows_of_eleven_hues_and_thirteen_greys():
    colors = reference_rgb()
    assert colors.shape == (156, 3)
    assert len({tuple(color) for color in colors.tolist()}) == 156
    grey = colors.max(1).values == colors.min(1).values
    assert grey.sum() == 13
    assert torch.allclose(colors[grey][:, 0].diff(), torch.tensor(-1 / 12, dtype=torch.float64))
    assert [1.0, 0.0, 0.0] in colors.tolist()


def test_codebook_holds_the_colours_that_agree_with_the_papers_figures():
    """The list of the lab's published code, written out here by another library's HSV."""
    from skimage.color import hsv2rgb

    hues = (0, 0.0833, 0.166, 0.25, 0.333, 0.5, 0.56333, 0.666, 0.73, 0.803, 0.916)
    rows = [(n / 6, 1.0) for n in (1, 2, 3, 4, 5, 6)]  # pale to full
    rows += [(1.0, light) for light in (0.84, 0.68, 0.52, 0.36)]
    rows += [(0.4, light) for light in (0.84, 0.68, 0.52)]
    expected = [[hue, *row] for hue in hues for row in rows]
    expected += [[0.0, 0.0, n / 12] for n in range(13)]
    expected = hsv2rgb(np.array(expected)[None])[0]
    apart = np.abs(reference_rgb().numpy()[:, None] - expected[None]).max(2)
    assert apart.shape == (156, 156)
    assert apart.min(0).max() < 1e-9
    assert apart.min(1).max() < 1e-9


def test_smoothing_rows_sum_to_one_and_keep_what_is_far_apart_separate():
    weights = smoothing(10.0)
    assert torch.allclose(weights.sum(1), torch.ones(BINS, dtype=torch.float64))
    assert weights[ground_distance() > 60].max() < 1e-6
    assert torch.equal(smoothing(0.0), torch.eye(BINS, dtype=torch.float64))


def test_palette_equals_the_pixel_by_pixel_definition():
    for seed in range(3):
        image = photo(seed=seed)
        palette = PaletteExtractor(10.0, table=False)(image)[0].double().numpy()
        assert np.abs(palette - reference_palette(image)).sum() < 1e-3


def test_table_holds_the_nearest_reference_of_every_color(table):
    codes = torch.randint(0, 1 << 24, (20_000,), generator=torch.Generator().manual_seed(0))
    rgb = torch.stack((codes >> 16, (codes >> 8) & 255, codes & 255)).double() / 255
    lab = rgb_to_lab(rgb[None, :, :, None])[0, :, :, 0].T
    nearest = torch.cdist(lab, reference_lab()).argmin(1)
    assert table.shape == (1 << 24,)
    assert (table[codes] != nearest).sum() <= 1  # a tie within float32


def test_looking_up_and_comparing_give_the_same_palette(table):
    compared, looked_up = PaletteExtractor(10.0, table=False), PaletteExtractor(10.0)
    looked_up._table = table
    images = torch.cat([photo(seed=seed) for seed in range(4)])
    assert torch.equal(compared(images), looked_up(images))


def test_palette_is_a_probability_vector_and_does_not_depend_on_the_batch():
    extract = Color().build_extractor()
    images = torch.cat([photo(seed=seed) for seed in range(3)] + [torch.full((1, 3, 48, 48), 7.0)])
    palettes = extract(images)
    assert torch.allclose(palettes.sum(1), torch.ones(4))
    assert palettes.min() >= 0
    assert not ((palettes > 0) & (palettes < 5e-6)).any()
    for image, palette in zip(images, palettes, strict=True):
        assert torch.equal(extract(image[None])[0], palette)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 50), (65, 97)])
@pytest.mark.parametrize("colour", [(-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), (0.3, -0.7, 0.9)])
def test_a_picture_of_one_colour_has_one_palette_at_any_size(size, colour):
    plugin = Color()
    extract = plugin.build_extractor()
    picture = torch.tensor(colour)[:, None, None].expand(2, 3, *size)
    value = extract(picture)
    hex_text = "#" + "".join(f"{round((level + 1) * 127.5):02x}" for level in colour)
    torch.testing.assert_close(value, plugin.read(hex_text).expand(2, -1), rtol=0, atol=1e-6)
    assert plugin.visualize(value).isfinite().all()
    assert plugin.adherence(picture, value, extractor=extract).eq(1).all()


def test_flat_picture_of_a_reference_color_peaks_there():
    rgb = reference_rgb()[[0, 40, 100, 150]].float()
    images = (2 * rgb - 1)[:, :, None, None].expand(-1, -1, 8, 8)
    assert Color().build_extractor()(images).argmax(1).tolist() == [0, 40, 100, 150]
    assert Color(sigma=0).build_extractor()(images).max(1).values.tolist() == [1, 1, 1, 1]


def test_encoder_input_has_unit_mean_square_for_every_palette():
    plugin = Color()
    encoder = plugin.build_encoder(DIMS)
    seen = []
    encoder.to_time[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    encoder(plugin.build_extractor()(photo()), torch.tensor([True]))
    assert seen[0].square().mean().item() == pytest.approx(1, abs=1e-5)


def test_distance_is_zero_for_equal_symmetric_and_a_metric():
    palettes = Color().build_extractor()(torch.cat([photo(seed=seed) for seed in range(6)]))
    assert (palette_distance(palettes, palettes) == 0).all()
    ab = palette_distance(palettes[:2], palettes[2:4])
    bc = palette_distance(palettes[2:4], palettes[4:])
    ac = palette_distance(palettes[:2], palettes[4:])
    assert torch.equal(ab, palette_distance(palettes[2:4], palettes[:2]))
    assert (ac <= ab + bc).all()
    assert (ab > 0.05).all()


def test_distance_of_single_colors_is_the_root_of_their_lab_distance():
    points = torch.eye(BINS)
    expected = (ground_distance()[0] / 6.5).sqrt().float()
    assert torch.allclose(palette_distance(points[:1].expand(BINS, -1), points), expected)


def test_adherence_is_one_for_the_picture_itself_and_falls_with_brightness():
    plugin = Color()
    extract = plugin.build_extractor()
    image = photo()
    value = extract(image)
    scores = [
        plugin.adherence((image + shift).clamp(-1, 1), value, extractor=extract).item()
        for shift in (0, 0.1, 0.3)
    ]
    assert scores[0] == 1
    assert scores[0] > scores[1] > scores[2]


def test_hex_colors_give_the_palette_of_a_picture_made_of_them():
    plugin = Color()
    halves = torch.zeros((1, 3, 8, 10))
    halves[:, :, :, :5] = torch.tensor([0x0B, 0x3D, 0x91])[:, None, None] / 127.5 - 1
    halves[:, :, :, 5:] = 1
    extracted = plugin.build_extractor()(halves)[0]
    assert torch.allclose(plugin.read("#0b3d91,#fff"), extracted, atol=1e-6)
    assert torch.equal(plugin.read("#0B3D91:1, #ffffff:1"), plugin.read("#0b3d91,#fff"))


def test_weights_of_hex_colors_are_relative_areas():
    plugin = Color(sigma=0)
    assert torch.equal(plugin.read("#f00:3,#000"), plugin.read("#f00:0.75,#000:0.25"))
    assert plugin.read("#f00:3,#000").max().item() == pytest.approx(0.75)


@pytest.mark.parametrize(
    "text", ["#12", "blue", "#0b3d91,#ggg", "", "#fff,", "#fff:x", "#fff:-1", "#fff:0", "#fff:nan"]
)
def test_bad_hex_is_named(text):
    with pytest.raises(UserInputError) as caught:
        Color().read(text)
    assert repr(text) in str(caught.value)
    assert "Next:" in str(caught.value)


def test_bad_entry_and_the_form_are_named():
    with pytest.raises(UserInputError, match=r"#rrggbb.*found '#ggg'"):
        Color().read("#0b3d91,#ggg")


def test_strip_is_as_wide_as_the_mass():
    plugin = Color(sigma=0)
    strip = plugin.visualize(plugin.read("#f00:3,#000")[None])
    red = torch.tensor([1.0, 0, 0])[:, None]
    assert (strip[0, :, 0] == red).all(0).sum().item() == strip.shape[3] * 3 // 4
    assert (strip[0, :, 0, -1] == 0).all()


def test_strip_shows_sixteen_colors_largest_first():
    value = Color().build_extractor()(photo(96))
    strip = Color().visualize(value)[0, :, 0].T
    runs = torch.unique_consecutive(strip, dim=0, return_counts=True)[1]
    assert len(runs) <= 16
    assert (runs.diff() <= 1).all()  # widths are rounded to pixels


def test_strip_of_a_flat_or_empty_palette_is_drawn_too():
    strip = Color().visualize(torch.stack((torch.full((BINS,), 1 / BINS), torch.zeros(BINS))))
    assert strip.min() >= 0
    assert strip.max() <= 1


def test_extractor_keeps_nothing_for_checkpoints_and_travels(table):
    extract = PaletteExtractor(10.0)
    extract._table = table
    assert not extract.state_dict()
    assert torch.equal(pickle.loads(pickle.dumps(extract))(photo()), extract(photo()))


def test_half_precision_context_does_not_change_the_palette():
    extract = PaletteExtractor(10.0, table=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extract(photo()), extract(photo()))
        inside = extract(photo())
    assert torch.equal(inside, extract(photo()))


@pytest.mark.parametrize("sigma", [-1.0, math.inf, math.nan])
def test_senseless_sigma_is_refused(sigma):
    with pytest.raises(ConfigError, match="sigma"):
        Color(sigma=sigma)


def test_fewer_than_no_tokens_are_refused():
    assert Color(tokens=0).build_encoder(DIMS).to_context is None
    with pytest.raises(ConfigError, match="tokens"):
        Color(tokens=-1)


@pytest.mark.data
def test_canvas_of_128_pixels_is_enough_for_real_photos():
    from PIL import Image

    root = os.environ.get("COMPOSER_PL_TEST_DATA")
    if not root:
        pytest.skip("needs real photos: COMPOSER_PL_TEST_DATA is not set")
    extract = PaletteExtractor(10.0, table=False)
    distances = []
    for path in sorted((Path(root) / "coco" / "val2017").glob("*.jpg"))[:5]:
        with Image.open(path) as file:
            full = file.convert("RGB").resize((384, 384), Image.Resampling.BOX)
        sizes = [np.asarray(full.resize((side, side), Image.Resampling.BOX)) for side in (128, 384)]
        small, large = (
            extract(torch.tensor(size).permute(2, 0, 1)[None] / 127.5 - 1) for size in sizes
        )
        distances.append(palette_distance(small, large).item())
    assert np.median(distances) < 0.1
