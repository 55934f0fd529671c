"""Effects of conditions on a model's loss by noise level, one number a picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.errors import UserInputError
from composer_pl.evaluation.attribution.losses import (
    EncodedConditions,
    band_timesteps,
    coalition_losses,
)
from composer_pl.evaluation.attribution.shapley import (
    EXACT_UP_TO,
    MOST_PLAYERS,
    alone,
    coalitions_of,
    everyone,
    leave_one_out,
    sampled_orders,
    shapley_exact,
    shapley_of_orders,
)
from composer_pl.models.base import ComposerModel


@dataclass(frozen=True, kw_only=True)
class AttributionPlan:
    """What is asked of the model.

    Attributes:
        bands: Equal bands of timesteps; band 0 has the least noise.
        draws: Timesteps a band and picture.
        orders: Sampled orders of the conditions a picture; None asks every subset, up to
            `EXACT_UP_TO` conditions.
        antithetic: Whether every second order is the one before it reversed.
        max_batch: Rows that go through the network at once.
    """

    bands: int = 4
    draws: int = 1
    orders: int | None = None
    antithetic: bool = True
    max_batch: int = 32

    def __post_init__(self) -> None:
        """Refuse numbers below one.

        Raises:
            UserInputError: One is.
        """
        for name in ("bands", "draws", "orders", "max_batch"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UserInputError(
                    f"Attributing the loss to conditions: {name} must be at least 1, found "
                    f"{number}. Next: correct it."
                )


@dataclass(frozen=True, kw_only=True)
class Effects:
    """What each condition is worth: how much the loss falls by it; below 0 it does harm.

    Attributes:
        names: The conditions, in the order of rows.
        shapley: Shapley value of each; they sum to `total`.
        left_out: How much the loss rises when one is taken from all.
        alone: How much the loss falls when one is given to a model with nothing.
        none: The loss with no condition.
        all: The loss with every condition.
        timesteps: At which the losses were taken.
        orders: Orders sampled a picture; None where the Shapley values are exact.
        forwards: Rows that went through the network.
    """

    names: tuple[str, ...]
    shapley: Float[Tensor, "n b bands"]
    left_out: Float[Tensor, "n b bands"]
    alone: Float[Tensor, "n b bands"]
    none: Float[Tensor, "b bands"]
    all: Float[Tensor, "b bands"]
    timesteps: Int[Tensor, "b bands draws"]
    orders: int | None
    forwards: int

    @property
    def total(self) -> Float[Tensor, "b bands"]:
        """How much the loss falls by all conditions together."""
        return self.none - self.all


def attribute(
    model: ComposerModel,
    x_0: Float[Tensor, "b c h w"],
    values: Mapping[str, Tensor],
    keys: Int[Tensor, " b"],
    plan: AttributionPlan,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Effects:
    """Attribute the fall of the denoising loss to conditions.

    The worth of a subset of conditions is minus the training loss with it, on the same noisy
    pictures for every subset. Where orders are sampled, each picture has its own, so an interval
    over pictures holds what the sampling adds.

    Args:
        model: On its device, in evaluation mode.
        x_0: Pictures in [-1, 1].
        values: The conditions that take part, one value a picture.
        keys: One key a picture, from which its noise, timesteps and orders are drawn.
        plan: What is asked.
        progress: Called with (finished rows, all rows).

    Raises:
        UserInputError: There are no conditions, too many to ask every subset, or more bands than
            timesteps.
    """
    names, players = tuple(values), len(values)
    _check_players(names, plan)
    steps = model.process_config.num_timesteps
    if plan.bands > steps:
        raise UserInputError(
            f"Attributing the loss to conditions: expected at most as many bands as the model has "
            f"timesteps, {steps}, found {plan.bands}. Next: ask for fewer."
        )
    timesteps = band_timesteps(keys, bands=plan.bands, draws=plan.draws, num_timesteps=steps)
    orders = None
    if plan.orders is not None:
        orders = [
            sampled_orders(players, plan.orders, key=int(key), antithetic=plan.antithetic)
            for key in keys
        ]
    asked = [
        _coalitions(players, None if orders is None else orders[row]) for row in range(len(keys))
    ]
    losses = coalition_losses(
        model,
        x_0,
        EncodedConditions(model, values, batch=plan.max_batch),
        keys,
        timesteps.flatten(1),
        asked,
        max_batch=plan.max_batch,
        progress=progress,
    )
    shapley, out, by_itself, none, whole = [], [], [], [], []
    for row, loss in enumerate(losses):
        worth = {mask: -value.view(plan.bands, plan.draws).mean(1) for mask, value in loss.items()}
        if orders is None:
            shapley.append(shapley_exact(torch.stack([worth[m] for m in range(len(worth))])))
        else:
            shapley.append(shapley_of_orders(worth, orders[row]))
        out.append(leave_one_out(worth, players))
        by_itself.append(alone(worth, players))
        none.append(-worth[0])
        whole.append(-worth[everyone(players)])
    return Effects(
        names=names,
        shapley=torch.stack(shapley, 1),
        left_out=torch.stack(out, 1),
        alone=torch.stack(by_itself, 1),
        none=torch.stack(none),
        all=torch.stack(whole),
        timesteps=timesteps,
        orders=plan.orders,
        forwards=sum(len(masks) for masks in asked) * plan.bands * plan.draws,
    )


def _coalitions(players: int, orders: list[tuple[int, ...]] | None) -> list[int]:
    if orders is None:
        return list(range(1 << players))
    whole = everyone(players)
    ends = {mask for i in range(players) for mask in (1 << i, whole & ~(1 << i))}
    return sorted(coalitions_of(orders) | ends | {0, whole})


def _check_players(names: tuple[str, ...], plan: AttributionPlan) -> None:
    doing = "Attributing the loss to conditions"
    if not names:
        raise UserInputError(
            f"{doing}: expected a model with conditions, found none that pictures can give. "
            f"Next: name a model with conditions, or pictures with captions."
        )
    if plan.orders is None and len(names) > EXACT_UP_TO:
        raise UserInputError(
            f"{doing}: every subset of at most {EXACT_UP_TO} conditions can be asked, found "
            f"{len(names)}. Next: sample orders of them (--orders 16)."
        )
    if len(names) > MOST_PLAYERS:
        raise UserInputError(
            f"{doing}: at most {MOST_PLAYERS} conditions can take part, found {len(names)}. "
            f"Next: choose some of them."
        )
