"""Shapley values of games of few players, exactly or from sampled permutations.

A coalition is a bit mask: bit i is set where player i takes part. A game gives a worth to every
coalition; here it plays many games at once, one a picture and noise level, in the trailing axes.
"""

from collections.abc import Mapping, Sequence
from math import factorial

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.randomness import keyed_generator

EXACT_UP_TO = 8
"""Players up to which every coalition is asked: 256 of them."""

MOST_PLAYERS = 62
"""A coalition is an int64."""


def everyone(players: int) -> int:
    """The coalition of all players."""
    return (1 << players) - 1


def shapley_exact(worth: Float[Tensor, "coalitions ..."]) -> Float[Tensor, "players ..."]:
    """Shapley values from the worth of every coalition (Shapley, 1953).

    The value of player i is the mean over all orders of what it adds to those before it:
    `sum over S without i of |S|! (n - 1 - |S|)! / n! (worth(S and i) - worth(S))`.

    Args:
        worth: Row m is the worth of coalition m; 2^n rows.

    Returns:
        One row a player; their sum is the worth of all minus that of none.
    """
    players = len(worth).bit_length() - 1
    if len(worth) != 1 << players:
        raise ValueError(f"expected a worth for each of 2^n coalitions, found {len(worth)}")
    masks = torch.arange(len(worth))
    sizes = sum(((masks >> i) & 1 for i in range(players)), torch.zeros_like(masks))
    weight_of_size = torch.tensor(
        [factorial(s) * factorial(players - 1 - s) / factorial(players) for s in range(players)],
        dtype=torch.float64,
    )
    values = []
    for player in range(players):
        without = masks[(masks >> player) & 1 == 0]
        gains = (worth[without | (1 << player)] - worth[without]).double()
        weights = weight_of_size[sizes[without]].to(gains.device)
        values.append(torch.tensordot(weights, gains, dims=1))
    if not values:
        return worth.new_zeros(0, *worth.shape[1:]).double()
    return torch.stack(values)


def sampled_orders(
    players: int, count: int, *, key: int, antithetic: bool = True
) -> list[tuple[int, ...]]:
    """Orders of the players, drawn uniformly.

    Args:
        players: How many take part.
        count: How many orders.
        key: Decides the draw.
        antithetic: Every second order is the one before it reversed, so that a player who came
            early comes late next: less variance wherever players are redundant.
    """
    generator = keyed_generator(key, "orders")
    orders: list[tuple[int, ...]] = []
    while len(orders) < count:
        order = tuple(torch.randperm(players, generator=generator).tolist())
        orders.append(order)
        if antithetic and len(orders) < count:
            orders.append(order[::-1])
    return orders


def coalitions_of(orders: Sequence[Sequence[int]]) -> set[int]:
    """Every coalition that the orders pass, from none to all."""
    found = {0}
    for order in orders:
        mask = 0
        for player in order:
            mask |= 1 << player
            found.add(mask)
    return found


def shapley_of_orders(
    worth: Mapping[int, Float[Tensor, "..."]], orders: Sequence[Sequence[int]]
) -> Float[Tensor, "players ..."]:
    """What each player adds to those before it, averaged over orders.

    An unbiased estimate of the Shapley values if the orders are drawn uniformly; their sum is
    exact for any orders.

    Args:
        worth: Coalition -> worth, for all of `coalitions_of(orders)`.
        orders: At least one.
    """
    players = len(orders[0])
    total = torch.zeros(players, *worth[0].shape, dtype=torch.float64, device=worth[0].device)
    for order in orders:
        mask = 0
        for player in order:
            after = mask | (1 << player)
            total[player] += (worth[after] - worth[mask]).double()
            mask = after
    return total / len(orders)


def leave_one_out(
    worth: Mapping[int, Float[Tensor, "..."]], players: int
) -> Float[Tensor, "players ..."]:
    """What is lost without each player: the worth of all minus that of all others."""
    whole = everyone(players)
    return torch.stack([worth[whole] - worth[whole & ~(1 << i)] for i in range(players)]).double()


def alone(worth: Mapping[int, Float[Tensor, "..."]], players: int) -> Float[Tensor, "players ..."]:
    """What each player is worth by itself: its worth minus that of none."""
    return torch.stack([worth[1 << i] - worth[0] for i in range(players)]).double()
