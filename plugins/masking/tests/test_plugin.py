"""Facts about the condition `masking`."""

import pytest
import torch
from PIL import Image

from composer_pl.plugin import ConfigError, UserInputError
from composer_pl.plugin.testing import PluginContract
from composer_pl_masking import Masking
from composer_pl_masking.drawing import draw_masks, erase_rectangles

PAPER = (0.7, 0.2, 0.1)
STROKES, RECTANGLES, HALVES = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self):
        return Masking()


def pictures(count, side=32, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def hole_share(shares, count=300, side=48):
    masks = draw_masks(torch.arange(count) * 104729, (side, side), shares)
    return 1 - masks.flatten(1).mean(1)


def test_mask_is_zero_or_one_and_the_hole_is_zero_in_every_channel():
    image = pictures(40)
    value = Masking().build_extractor()(image, torch.arange(40))
    known = value[:, 3:]
    assert set(known.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(value[:, :3], image * known)


def test_every_mask_has_a_hole_and_a_known_part():
    share = hole_share(PAPER)
    assert share.min() > 0
    assert share.max() < 1


def test_kinds_are_drawn_70_20_10():
    count, side = 1500, 16
    keys = torch.arange(count) * 15485863
    masks = draw_masks(keys, (side, side), PAPER)
    # The kind is decided by the first draw of a key, so a pure kind reproduces its share exactly.
    same = [
        (masks == draw_masks(keys, (side, side), pure)).flatten(1).all(1)
        for pure in (STROKES, RECTANGLES, HALVES)
    ]
    for share, matches in zip(PAPER, same, strict=True):
        deviation = (share * (1 - share) / count) ** 0.5
        assert abs(matches.float().mean().item() - share) < 4 * deviation


def test_half_masks_hide_exactly_one_of_four_halves():
    masks = draw_masks(torch.arange(64), (8, 8), HALVES)
    distinct = {tuple(mask.flatten().tolist()) for mask in masks}
    assert len(distinct) == 4
    assert (masks.flatten(1).mean(1) == 0.5).all()


def test_odd_sides_hide_the_smaller_half():
    assert draw_masks(torch.arange(8), (7, 7), HALVES).flatten(1).sum(1).eq(28).all()


def test_area_of_rectangles_follows_the_closed_form():
    # E[side] = 90 on the 512 grid, sides independent; 1 to 4 rectangles that may overlap.
    one = (90 / 512) ** 2
    mean = hole_share(RECTANGLES, count=800).mean().item()
    assert 0.75 * 2.5 * one < mean < 1.05 * 2.5 * one


def test_rectangles_keep_the_margin():
    mask = torch.ones(512, 512)
    for seed in range(30):
        erase_rectangles(mask, torch.Generator().manual_seed(seed))
    inner = mask.clone()
    inner[10:502, 10:502] = 1
    assert inner.all()
    assert not mask[10:502, 10:502].all()


def test_hole_share_of_strokes_is_moderate():
    share = hole_share(STROKES)
    assert 0.12 < share.mean() < 0.35
    assert share.std() > 0.05


def test_mask_depends_on_the_key_alone_and_not_on_the_batch():
    extractor = Masking().build_extractor()
    image, keys = pictures(5), torch.tensor([3, 1 << 62, 5, 7, 11])
    together = extractor(image, keys)
    torch.manual_seed(1)
    alone = [extractor(image[i : i + 1], keys[i : i + 1]) for i in (4, 3, 2, 1, 0)]
    assert torch.equal(together, torch.cat(alone).flip(0))
    assert not torch.equal(together[0, 3], together[2, 3])


@pytest.mark.parametrize("shares", [STROKES, RECTANGLES, HALVES])
def test_one_key_gives_the_same_hole_at_every_resolution(shares):
    keys = torch.arange(20)
    small, large = draw_masks(keys, (32, 32), shares), draw_masks(keys, (96, 96), shares)
    # 96 = 3 * 32, so the centre of every small pixel is the centre of a large one.
    assert torch.equal(small, large[:, :, 1::3, 1::3])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 50), (65, 97)])
def test_masks_of_any_size_are_zero_or_one_and_are_shown(size):
    plugin = Masking()
    extractor = plugin.build_extractor()
    for level in (-1.0, 0.3, 1.0):
        image = torch.full((30, 3, *size), level)
        value = extractor(image, torch.arange(30))
        assert set(value[:, 3].unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(value[:, :3], image * value[:, 3:])
        assert plugin.visualize(value).shape == (30, 3, *size)
        assert plugin.adherence(image, value, extractor=extractor).eq(1).all()


def test_adherence_counts_the_known_region_only():
    plugin, image = Masking(), pictures(6)
    extractor = plugin.build_extractor()
    value = extractor(image, torch.arange(6))
    known = value[:, 3:]
    changed_in_hole = image * known + pictures(6, seed=1) * (1 - known)
    assert torch.equal(plugin.adherence(changed_in_hole, value, extractor=extractor), torch.ones(6))
    shifted = image * 0.5
    score = plugin.adherence(shifted, value, extractor=extractor)
    for index in range(6):
        inside = known[index, 0].bool()
        expected = 1 - (image - shifted)[index, :, inside].abs().mean() / 2
        torch.testing.assert_close(score[index], expected)


def test_adherence_of_an_all_hole_value_is_one():
    plugin = Masking()
    score = plugin.adherence(pictures(1), torch.zeros(1, 4, 32, 32), extractor=lambda image: image)
    assert score.item() == 1


def test_negative_or_zero_weights_are_refused():
    with pytest.raises(ConfigError, match="not all zero"):
        Masking(strokes=0, rectangles=0, halves=0).build_extractor()
    with pytest.raises(ConfigError, match="non-negative"):
        Masking(strokes=-1.0).build_extractor()


def test_transparent_part_of_a_file_is_the_hole(tmp_path):
    picture = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    picture.putpixel((3, 1), (255, 255, 255, 0))
    picture.save(tmp_path / "cut.png")
    value = Masking().read(tmp_path / "cut.png")
    assert value.shape == (4, 2, 4)
    assert value[:, 0, 0].tolist() == [1, -1, -1, 1]
    assert value[:, 1, 3].tolist() == [0, 0, 0, 0]
    assert value[3].sum() == 7


def test_a_file_without_transparency_or_no_picture_is_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.jpg")
    with pytest.raises(UserInputError, match="JPEG without transparency"):
        Masking().read(tmp_path / "photo.jpg")
    (tmp_path / "note.png").write_text("no picture")
    (tmp_path / "header.pgm").write_bytes(b"P5 4x 4 255 ")  # pillow raises a ValueError
    for name in ("note.png", "header.pgm", "with\0nul.png", "absent.png"):
        with pytest.raises(UserInputError, match="Next:"):
            Masking().read(tmp_path / name)


def test_holes_are_shown_as_a_grey_chequerboard():
    value = torch.zeros(1, 4, 32, 32)
    value[:, :, :16] = 1
    shown = Masking().visualize(value)
    assert (shown[:, :, :16] == 1).all()
    hole = shown[:, :, 16:]
    assert torch.equal(hole[:, 0], hole[:, 1])
    assert len(hole.unique()) == 2


def test_between_two_masked_pictures_is_known_what_both_know():
    one, two = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    one[:, 3, 0], two[:, 3, :, 0] = 1, 1
    one[:, :3, 0], two[:, :3, :, 0] = 0.5, -0.5
    found = Masking().interpolate(one, two, 0.25)
    assert torch.equal(found[0, 3], torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert torch.equal(found[0, :3], 0.25 * found[0, 3].expand(3, 2, 2))
