"""Palettes between palettes: exact ends, mass, means, and the plan against known answers."""

import pytest
import torch

from composer_pl_color import Color
from composer_pl_color.codebook import BINS, GREYS, ground_distance, reference_lab
from composer_pl_color.palette import palette_distance, palette_from_colors
from composer_pl_color.transport import around, displaced, transport_plan


def single(number):
    return torch.eye(BINS)[number]


def some(seed, colors=6, sigma=10.0):
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.rand((colors, 3), generator=generator)
    return palette_from_colors(rgb, torch.rand(colors, generator=generator) + 0.1, sigma)


@pytest.mark.parametrize("sigma", [0.0, 10.0])
def test_both_ends_are_exact_and_mass_is_kept_between(sigma):
    one, two = some(0, sigma=sigma), some(1, sigma=sigma)
    assert torch.equal(displaced(one, two, 0.0), one)
    assert torch.equal(displaced(one, two, 1.0), two)
    for share in (0.1, 0.5, 0.9):
        found = displaced(one, two, share)
        assert found.min() >= 0
        assert found.sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("pair", [(0, 60), (12, 140), (3, 155), (77, 20)])
def test_half_way_between_two_colours_lie_those_around_their_lab_mean(pair):
    lab = reference_lab()
    found = displaced(single(pair[0]), single(pair[1]), 0.5)
    middle = lab[list(pair)].mean(0)
    nearest = (lab - middle).square().sum(1).argmin()
    assert found[nearest] > 0
    assert (found > 0).sum() <= 4
    torch.testing.assert_close((found.double()[:, None] * lab).sum(0), middle, atol=1e-4, rtol=0)


def test_half_way_between_white_and_black_is_middle_grey():
    greys = torch.arange(BINS - GREYS, BINS)
    found = displaced(single(greys[0]), single(greys[-1]), 0.5)
    lab = reference_lab()[greys, 0]
    on_either_side = torch.stack([greys[lab >= 50][-1], greys[lab < 50][0]])
    assert found[on_either_side].sum().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_mean_colour_goes_straight(share):
    lab, one, two = reference_lab(), some(2), some(3)
    means = [(palette.double()[:, None] * lab).sum(0) for palette in (one, two)]
    found = (displaced(one, two, share).double()[:, None] * lab).sum(0)
    torch.testing.assert_close(found, torch.lerp(*means, share), atol=1e-3, rtol=0)


def test_the_plan_has_both_palettes_as_its_sums_and_is_the_cheapest():
    one, two = some(4), some(5)
    start, end, mass = transport_plan(tuple(one.tolist()), tuple(two.tolist()))
    for index, palette in ((start, one), (end, two)):
        found = torch.zeros(BINS, dtype=torch.float64).index_add_(0, index, mass)
        torch.testing.assert_close(found, palette.double(), atol=1e-6, rtol=0)
    # Duality: cycling any two parcels' ends makes nothing cheaper (Villani: cyclical monotonicity).
    cost = ground_distance().square()
    kept = mass > 1e-9
    own = cost[start[kept], end[kept]]
    crossed = cost[start[kept][:, None], end[kept][None]]
    assert (crossed + crossed.T >= own[:, None] + own[None] - 1e-6).all()


def test_equal_palettes_have_nothing_between_them_but_themselves():
    one = some(6)
    torch.testing.assert_close(displaced(one, one.clone(), 0.5), one, atol=1e-7, rtol=0)


def test_equal_shares_are_nearly_equal_steps():
    one, two = some(4), some(5)
    frames = torch.stack([displaced(one, two, share / 8) for share in range(9)])
    steps = palette_distance(frames[:-1], frames[1:])
    assert steps.max() < 1.5 * palette_distance(one[None], two[None]).item() / 8


def test_colours_on_any_line_between_references_are_shared_out_exactly():
    lab = reference_lab()
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(BINS, (2, 3000), generator=generator)
    steps = torch.rand((3000, 1), generator=generator, dtype=torch.float64)
    colours = torch.cat([torch.lerp(lab[ends[0]], lab[ends[1]], steps), lab])
    bins, shares = around(colours)
    found = (shares[:, :, None] * lab[bins]).sum(1)
    torch.testing.assert_close(found, colours, atol=1e-3, rtol=0)


def test_the_straight_way_is_the_mixture():
    one, two = some(0)[None], some(1)[None]
    found = Color().interpolate(one, two, 0.25, straight=True)
    torch.testing.assert_close(found, 0.75 * one + 0.25 * two)
