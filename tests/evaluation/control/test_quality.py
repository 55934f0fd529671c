"""Collapse, copies and true pictures are told apart."""

import pytest
import torch

from composer_pl.evaluation.control.copies import find_copies, nearest, thumbnails, variety
from composer_pl.evaluation.control.quality import quality_of


def noise(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)


def features(pictures):
    return pictures.float().mean((2, 3)) / 255


def test_the_truth_is_as_varied_as_the_truth_and_one_picture_is_not():
    true = noise(12, 0)
    same = quality_of(true, true, features=features)
    assert (same.variety.value, same.variety.low, same.variety.high) == pytest.approx((1, 1, 1))
    assert same.precision.value == same.recall.value == 1
    collapsed = quality_of(true[:1].expand(12, -1, -1, -1), true, features=features)
    assert collapsed.variety.value == pytest.approx(0, abs=1e-5)
    assert collapsed.recall.value < 0.5
    assert collapsed.kernel.low > same.kernel.high


def test_the_distances_of_the_shares_are_means_over_pairs():
    """Of more pictures than one the ratio is that of the means of `variety`."""
    true, drawn = noise(20, 0), noise(20, 1) // 2
    found = quality_of(drawn, true, features=None).variety
    assert found.value == pytest.approx(variety(thumbnails(drawn)) / variety(thumbnails(true)))
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.1


def test_intervals_hold_what_other_pictures_of_the_same_kind_give():
    """Half as varied as the truth by construction: 9 of 10 intervals of 24 pictures hold it."""
    held = 0
    for seed in range(10):
        grey = torch.rand(2, 24, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
        drawn, true = ((255 * g).to(torch.uint8).expand(-1, 3, 32, 32) for g in grey)
        found = quality_of(drawn // 2 + 60, true, features=features)
        held += 0.5 in found.variety
        assert found.precision.low <= found.precision.value <= found.precision.high
    assert held >= 8


def test_spread_is_of_pictures_of_one_value():
    true = noise(8, 0)
    decided = quality_of(true, true, features=None, again=true[:4])
    assert decided.spread.value == pytest.approx(0, abs=1e-6)
    free = quality_of(true, true, features=None, again=noise(4, 1))
    assert free.spread.value == pytest.approx(1, rel=0.05)  # as far apart as two true pictures
    assert decided.kernel is None
    assert quality_of(true, true, features=None).spread is None


def test_a_copy_is_found_and_told_from_new_pictures():
    training, new, unseen = noise(50, 0), noise(20, 1), noise(20, 2)
    drawn = new.clone()
    drawn[4] = training[17]
    found = find_copies(drawn, unseen, training)
    assert found.order[0] == 4
    assert found.where[4] == 17
    assert found.drawn_least < 1e-3 < found.unseen_least
    assert found.training == 50
    assert find_copies(new, unseen, training).share_nearer < 0.2


def test_the_share_nearer_by_chance_is_that_of_new_pictures():
    """Of 20 unseen pictures the nearest hundredth is the nearest: new ones come closer in 6%."""
    generator = torch.Generator().manual_seed(0)

    def greys(count):
        level = torch.randint(1, 256, (count, 1, 1, 1), dtype=torch.uint8, generator=generator)
        return level.expand(-1, 3, 32, 32)

    training = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    found = [find_copies(greys(50), greys(20), training) for _ in range(60)]
    share = sum(one.share_nearer for one in found) / len(found)
    assert found[0].share_by_chance == pytest.approx(0.0567, abs=1e-3)
    assert share == pytest.approx(found[0].share_by_chance, abs=0.02)


def test_the_distance_is_of_root_mean_square():
    training = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    black = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    distance, _ = nearest(thumbnails(black), thumbnails(training))
    torch.testing.assert_close(distance, torch.ones(1))


def test_equal_pictures_have_no_variety():
    assert variety(thumbnails(noise(1, 0).expand(5, -1, -1, -1))) < 1e-5
