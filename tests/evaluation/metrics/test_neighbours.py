"""Precision and recall against brute force and cases that can be seen."""

import pytest
import torch

from composer_pl.errors import UserInputError
from composer_pl.evaluation.metrics import neighbours
from composer_pl.evaluation.metrics.neighbours import precision_recall


def share_inside(points, centres, k):
    """The definition, pair by pair."""
    radii = []
    for i, centre in enumerate(centres):
        apart = [float((centre - other).norm()) for j, other in enumerate(centres) if j != i]
        radii.append(sorted(apart)[k - 1])
    inside = [
        any(float((point - c).norm()) <= r for c, r in zip(centres, radii, strict=True))
        for point in points
    ]
    return sum(inside) / len(inside)


@pytest.mark.parametrize("k", [1, 3])
def test_brute_force_agrees(k, monkeypatch):
    monkeypatch.setattr(neighbours, "_ROWS", 7)  # parts of a set, the last one smaller
    real, fake = torch.randn(40, 5).double(), 1.2 * torch.randn(30, 5).double() + 0.8
    found = precision_recall(real, fake, k=k)
    assert found == pytest.approx((share_inside(fake, real, k), share_inside(real, fake, k)))
    assert 0 < found[0] < 1
    assert 0 < found[1] < 1


def test_a_set_has_all_of_itself():
    real = torch.randn(50, 8)
    assert precision_recall(real, real.clone()) == (1.0, 1.0)


def test_sets_far_apart_share_nothing():
    real = torch.randn(50, 8)
    assert precision_recall(real, real + 1000) == (0.0, 0.0)


def test_one_mode_of_two_is_precise_and_recalls_half():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(200, 2, generator=generator)
    real[100:] += 1000
    # Both modes are one cloud; k = 1 balls of the copy of the first hold all of it and no more.
    assert precision_recall(real, real[:100], k=1) == (1.0, 0.5)


def test_equal_pictures_are_inside_a_ball_of_no_size():
    real = torch.rand(1, 64).repeat(10, 1) * 100 + 1e4
    assert precision_recall(real, real.clone(), k=3) == (1.0, 1.0)


@pytest.mark.parametrize(("count", "k"), [(3, 3), (10, 0)])
def test_sets_without_a_neighbour_are_refused(count, k):
    with pytest.raises(UserInputError, match="more than k pictures"):
        precision_recall(torch.randn(count, 4), torch.randn(10, 4), k=k)


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(UserInputError, match="finite"):
        precision_recall(torch.randn(10, 2), torch.full((10, 2), float("inf")))
