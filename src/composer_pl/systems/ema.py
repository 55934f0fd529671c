"""Exponential moving average of the trained weights, as a callback.

Written here because the stock callback stores the average in place of the weights, counts nothing
before its first update, and cannot be resumed exactly (Lightning#21414, #21724).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from composer_pl.errors import CheckpointError, ConfigError
from composer_pl.models.storage import EMA_KEY, MODEL_PREFIX


class EMA(pl.Callback):
    """Keep an average of the weights; validate and draw previews with it.

    After optimiser step n (counted from 0) the decay is min(`decay`, (1 + n) / (10 + n)), so that
    the average forgets the random start quickly. The average is held in float32 (float64 where
    the weights are) on the device of the weights and updated with one fused call.

    Args:
        decay: Decay for long runs; the lab's library and unCLIP use 0.9999.
        every_n_steps: Update after every so many optimiser steps.
        use: False switches the average off.
    """

    def __init__(self, decay: float = 0.9999, every_n_steps: int = 1, use: bool = True):
        if not 0 <= decay < 1:
            raise ConfigError(
                f"Reading ema.decay: a number in [0, 1) was expected, found {decay}. "
                f"Next: correct ema.decay, or switch the average off with ema.use=false."
            )
        if every_n_steps < 1:
            raise ConfigError(
                f"Reading ema.every_n_steps: at least 1 was expected, found {every_n_steps}. "
                f"Next: correct it, or switch the average off with ema.use=false."
            )
        self.decay = decay
        self.every_n_steps = every_n_steps
        self.use = use
        self.updates = 0
        self.swapped = False
        self._last_step = 0
        self._weights: dict[str, Tensor] = {}

    # -- the average -----------------------------------------------------------------------------

    def decay_at(self, update: int) -> float:
        """Decay of update number `update`, counted from 0."""
        return min(self.decay, (1 + update) / (10 + update))

    def weights(self) -> dict[str, Tensor]:
        """The average by parameter name of the network; empty when switched off."""
        return self._weights

    def _start(self, network: nn.Module) -> None:
        """Begin from the current weights, or bring restored averages to their device."""
        parameters = dict(network.named_parameters())
        if not self._weights:
            self._weights = {name: p.detach() for name, p in parameters.items()}
        elif self._weights.keys() != parameters.keys():
            difference = sorted(self._weights.keys() ^ parameters.keys())
            raise CheckpointError(
                f"Resuming the weight average: expected the network's parameters, found others "
                f"({len(difference)} differ, the first is {difference[0]}). "
                f"Next: resume with the configuration that wrote the checkpoint."
            )
        # Laid out as the weights are (channels last, say), or the fused update would fall apart.
        self._weights = {
            name: torch.empty_like(
                p, dtype=torch.promote_types(p.dtype, torch.float32), requires_grad=False
            ).copy_(self._weights[name])
            for name, p in parameters.items()
        }

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average: decay * average + (1 - decay) * weights."""
        averages = list(self._weights.values())
        current = [
            p.detach().to(average.dtype)
            for p, average in zip(network.parameters(), averages, strict=True)
        ]
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            averages, current, 1 - self.decay_at(self.updates)
        )
        self.updates += 1

    @torch.no_grad()
    def _exchange(self, network: nn.Module) -> None:
        """Exchange weights and average by value, so that compiled graphs keep their addresses."""
        for p, average in zip(network.parameters(), self._weights.values(), strict=True):
            kept = p.detach().clone()
            p.copy_(average)
            average.copy_(kept)
        self.swapped = not self.swapped

    @contextmanager
    def averaged(self, network: nn.Module) -> Iterator[None]:
        """Within the block the network holds the average; no-op when off or already exchanged."""
        if self.swapped or not self._weights:
            yield
            return
        self._exchange(network)
        try:
            yield
        finally:
            self._exchange(network)

    # -- Lightning's hooks -----------------------------------------------------------------------

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start, once the weights are restored, on their device and laid out for it."""
        if self.use:
            self._start(network_of(pl_module))
        self._last_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Update after an optimiser step, not after each accumulated batch."""
        step = trainer.global_step
        if self.use and step != self._last_step and step % self.every_n_steps == 0:
            self.update(network_of(pl_module))
        self._last_step = step

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average."""
        if self._weights and not self.swapped:
            self._exchange(network_of(pl_module))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Back to the weights in training."""
        if self.swapped:
            self._exchange(network_of(pl_module))

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Back to the weights in training, should something be saved now."""
        if self.swapped:
            self._exchange(network_of(pl_module))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average beside the raw weights, also while the two are exchanged."""
        if not self._weights:
            return
        state = checkpoint["state_dict"]
        weights = dict(self._weights)
        if self.swapped:
            for name, raw in self._weights.items():
                weights[name] = state[MODEL_PREFIX + name]
                state[MODEL_PREFIX + name] = raw
        for name in network_of(pl_module).state_dict():  # buffers, which are not averaged
            weights.setdefault(name, state[MODEL_PREFIX + name])
        checkpoint[EMA_KEY] = {"updates": self.updates, "weights": weights}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the average up where it was."""
        state = checkpoint.get(EMA_KEY)
        if self.use and state is not None:
            names = [name for name, _ in network_of(pl_module).named_parameters()]
            self.updates = int(state["updates"])
            self._weights = {
                name: state["weights"][name].clone() for name in names if name in state["weights"]
            }


def network_of(pl_module: pl.LightningModule) -> nn.Module:
    """The trained network inside a system, which every system holds as `model`."""
    network = pl_module.model
    assert isinstance(network, nn.Module)
    return network


def averaged_weights(trainer: pl.Trainer, network: nn.Module) -> AbstractContextManager[None]:
    """Context in which the network holds the average, if this trainer keeps one."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EMA):
            return callback.averaged(network)
    return nullcontext()
