"""Straight lines and arcs between values."""

import math

import pytest
import torch

from composer_pl.plugin import lerp, slerp


def vectors(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def angle(one, two):
    return torch.acos(torch.nn.functional.cosine_similarity(one, two, dim=-1).clamp(-1, 1))


@pytest.mark.parametrize("way", [lerp, slerp])
def test_both_ends_are_exact_in_float32(way):
    one, two = vectors(0, 5, 9, dtype=torch.float32), vectors(1, 5, 9, dtype=torch.float32)
    assert torch.equal(way(one, two, 0.0), one)
    assert torch.equal(way(one, two, 1.0), two)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_angle_of_an_arc_grows_with_the_share_and_lengths_go_straight(share):
    one, two = vectors(0, 5, 9), vectors(1, 5, 9)
    found = slerp(one, two, share)
    whole = angle(one, two)
    torch.testing.assert_close(angle(one, found), share * whole, atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(angle(found, two), (1 - share) * whole, atol=1e-7, rtol=1e-6)
    lengths = (1 - share) * one.norm(dim=-1) + share * two.norm(dim=-1)
    torch.testing.assert_close(found.norm(dim=-1), lengths)


def test_an_arc_turns_in_the_plane_as_a_rotation_does():
    east, north = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    third = math.radians(30)
    expected = 3 * torch.tensor([math.cos(third), math.sin(third)])
    torch.testing.assert_close(slerp(east, north, 1 / 3), expected)


def test_where_there_is_no_arc_the_way_is_straight():
    one = vectors(0, 4)
    for two in (torch.zeros(4, dtype=torch.float64), -one, one, one * (1 + 1e-13)):
        torch.testing.assert_close(slerp(one, two, 0.25), 0.75 * one + 0.25 * two)


def test_of_integers_the_nearer_is_taken():
    one, two = torch.tensor([1, 5]), torch.tensor([9, 7])
    assert torch.equal(lerp(one, two, 0.49), one)
    assert torch.equal(lerp(one, two, 0.5), two)


def test_a_straight_line_never_leaves_the_range_of_its_ends():
    one, two = torch.full((9,), 0.1), torch.full((9,), 0.1 + 1e-8)
    for share in torch.linspace(0, 1, 33).tolist():
        found = lerp(one, two, share)
        assert ((found >= torch.minimum(one, two)) & (found <= torch.maximum(one, two))).all()
