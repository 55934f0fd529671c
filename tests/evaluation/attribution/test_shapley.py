"""Shapley values: the four axioms in closed form, and sampled orders against exact values."""

import itertools

import pytest
import torch

from composer_pl.evaluation.attribution.shapley import (
    alone,
    coalitions_of,
    everyone,
    leave_one_out,
    sampled_orders,
    shapley_exact,
    shapley_of_orders,
)


def game(players, seed=0, trailing=(2,)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1 << players, *trailing, generator=generator, dtype=torch.float64)


def by_definition(worth):
    """The mean of marginal contributions over all orders, written out."""
    players = len(worth).bit_length() - 1
    total = torch.zeros(players, *worth.shape[1:], dtype=torch.float64)
    orders = list(itertools.permutations(range(players)))
    for order in orders:
        for place, player in enumerate(order):
            before = sum(1 << other for other in order[:place])
            total[player] += worth[before | 1 << player] - worth[before]
    return total / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_the_formula_is_the_mean_over_all_orders(players):
    worth = game(players)
    torch.testing.assert_close(shapley_exact(worth), by_definition(worth))


@pytest.mark.parametrize("players", [1, 4, 8])
def test_efficiency_values_sum_to_the_total_effect(players):
    worth = game(players)
    torch.testing.assert_close(shapley_exact(worth).sum(0), worth[-1] - worth[0])


def test_symmetric_players_have_equal_values():
    """Players 0 and 2 may be exchanged: the worth counts them and looks at 1 apart."""
    masks = torch.arange(8)
    both, other = (masks & 1) + (masks >> 2 & 1), masks >> 1 & 1
    worth = (both**2 + 3.0 * other * both + other).double()
    values = shapley_exact(worth)
    assert values[0] == values[2]
    assert values[0] != values[1]


def test_a_player_that_changes_nothing_is_worth_exactly_nothing():
    worth = game(3)
    with_dummy = worth[torch.arange(16) & 7]  # player 3 is not looked at
    values = shapley_exact(with_dummy)
    assert torch.equal(values[3], torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(values[:3], shapley_exact(worth))


def test_values_of_a_sum_of_games_are_the_sum_of_the_values():
    first, second = game(5, 1), game(5, 2)
    torch.testing.assert_close(
        shapley_exact(first + 2 * second), shapley_exact(first) + 2 * shapley_exact(second)
    )


def test_glove_game():
    """Two left gloves, one right: a pair is worth 1; the right one is worth 2/3."""
    left, right = torch.arange(8) & 3, torch.arange(8) >> 2
    worth = ((left > 0) & (right > 0)).double()
    torch.testing.assert_close(shapley_exact(worth), torch.tensor([1 / 6, 1 / 6, 2 / 3]).double())


def test_all_orders_give_the_exact_values():
    worth = game(4)
    orders = list(itertools.permutations(range(4)))
    found = shapley_of_orders({mask: worth[mask] for mask in range(16)}, orders)
    torch.testing.assert_close(found, shapley_exact(worth))


@pytest.mark.parametrize("antithetic", [True, False])
def test_sampled_orders_converge_at_the_rate_of_monte_carlo(antithetic):
    worth = game(6, trailing=())
    exact = shapley_exact(worth)
    known = {mask: worth[mask] for mask in range(64)}

    def error(count):
        found = [
            shapley_of_orders(known, sampled_orders(6, count, key=key, antithetic=antithetic))
            for key in range(20)
        ]
        assert all(torch.allclose(f.sum(), worth[-1] - worth[0]) for f in found)
        return torch.stack([(f - exact).square().mean() for f in found]).mean().sqrt()

    few, many = error(8), error(128)
    assert 2.5 < few / many < 6.5  # 16 times the orders: a quarter of the error
    assert many < 0.15


def test_reversed_orders_help_where_players_replace_each_other():
    """With a worth of 1 for any player at all, an order and its reverse name two first players."""
    worth = {mask: torch.tensor(float(mask > 0)) for mask in range(32)}
    error = {}
    for antithetic in (True, False):
        found = torch.stack(
            [
                shapley_of_orders(worth, sampled_orders(5, 6, key=key, antithetic=antithetic))
                for key in range(300)
            ]
        )
        torch.testing.assert_close(found.mean(0), torch.full((5,), 0.2).double(), atol=0.03, rtol=0)
        error[antithetic] = float((found - 0.2).square().mean())
    assert error[True] < 0.9 * error[False]


def test_antithetic_orders_come_in_reversed_pairs():
    orders = sampled_orders(7, 5, key=3)
    assert len(orders) == 5
    assert orders[1] == orders[0][::-1]
    assert orders[3] == orders[2][::-1]
    assert orders == sampled_orders(7, 6, key=3)[:5]
    assert orders != sampled_orders(7, 5, key=4)


def test_coalitions_of_orders_are_what_their_values_need():
    assert coalitions_of([(0, 2, 1)]) == {0, 1, 5, 7}


def test_leave_one_out_and_alone_by_definition():
    worth = game(3)
    known = {mask: worth[mask] for mask in (0, 1, 2, 4, 3, 5, 6, 7)}
    assert everyone(3) == 7
    expected = torch.stack([worth[7] - worth[6], worth[7] - worth[5], worth[7] - worth[3]])
    torch.testing.assert_close(leave_one_out(known, 3), expected)
    torch.testing.assert_close(alone(known, 3), worth[[1, 2, 4]] - worth[0])


def test_a_worth_that_is_not_of_every_coalition_is_refused():
    with pytest.raises(ValueError, match="each of 2"):
        shapley_exact(torch.zeros(6))
