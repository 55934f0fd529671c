"""What training is the same for all kinds of models: the step, the optimiser, logs, checkpoints.

Everything random is a pure function of the batch's keys, except the network's own dropout, for
which the global generator is seeded anew at each batch. A resumed run therefore repeats exactly
what the uninterrupted one does, whatever the number of workers.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from composer_pl.data.sampler import HeldOutBatchSampler
from composer_pl.errors import ConfigError
from composer_pl.models.storage import DESCRIPTION_KEY, EMA_KEY, MODEL_PREFIX
from composer_pl.randomness import derive_key
from composer_pl.systems.compatibility import refuse_other_model
from composer_pl.systems.learning_rate import LearningRate
from composer_pl.systems.metrics import LossSplit
from composer_pl.types import Batch

PRECISIONS = ("32-true", "bf16-mixed", "64-true")
"""What training may compute in. Of the others, `true` half precisions round the pictures before
extractors see them, and fp16 scales its gradients, which fused optimisers undo after clipping."""

OptimizerFactory = Callable[[Iterable[Tensor]], Optimizer]
"""Parameters -> optimiser; in a configuration a `class_path` of torch.optim and its arguments."""


class System(pl.LightningModule):
    """The Lightning shell around a model of any kind; a kind adds its losses.

    Subclasses set `self.model`, an `nn.Module` with `describe()`, and then call `prepare`.
    """

    model: Any
    _base_rates: list[float]

    def prepare(
        self,
        *,
        names: tuple[str, ...],
        num_timesteps: int,
        optimizer: OptimizerFactory,
        learning_rate: LearningRate,
        seed: int,
        compiled: torch.nn.Module | None = None,
    ) -> None:
        """Take over what all kinds share.

        Args:
            names: Conditions by which the logged loss is split.
            num_timesteps: Length of the noise schedule.
            optimizer: Made from the parameters.
            learning_rate: Warm-up and decay of the optimiser's `lr`.
            seed: Seed of the network's own dropout.
            compiled: The part of the model to compile; None runs it eagerly.
        """
        self.make_optimizer = optimizer
        self.learning_rate = learning_rate
        self.seed = seed
        self.description = self.model.describe()  # now: a model that cannot be saved is refused
        self.train_split = LossSplit(names, num_timesteps)
        self.val_split = LossSplit(names, num_timesteps)
        self.grad_norm: Tensor | None = None
        self._base_rates = []
        self._to_compile = [] if compiled is None else [compiled]  # a list: not a second child

    # -- what a kind adds ------------------------------------------------------------------------

    @abstractmethod
    def losses(self, batch: Batch, split: LossSplit) -> Float[Tensor, " b"]:
        """The loss of each sample, entered into `split`."""

    @property
    @abstractmethod
    def about(self) -> str:
        """What `fit` says of the model when it starts, after its size."""

    # -- one batch -------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss of the batch.

        With several processes DDP averages the gradients of equal shares, and accumulation adds
        them, so that a step follows the mean over the global batch; the last, shorter accumulation
        of an epoch is scaled up to its own mean.
        """
        torch.manual_seed(
            derive_key(self.seed, "network", self.current_epoch, batch_idx, self.global_rank)
        )
        loss = self.losses(batch, self.train_split).mean()
        accumulated = self.trainer.accumulate_grad_batches
        batches = self.trainer.num_training_batches
        if accumulated > 1 and batches != float("inf"):
            rest = int(batches) % accumulated
            if rest and batch_idx >= batches - rest:
                loss = loss * (accumulated / rest)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the split loss and the rate every `log_every_n_steps` optimiser steps."""
        every = max(1, self.trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if self.global_step % every == 0 and self._stepped(batch_idx):
            self._log(self.train_split, "train/", len(batch["image"]))
            self.log("learning_rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
            if self.grad_norm is not None:
                self.log("gradient_norm", self.grad_norm)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Enter the losses; they are logged at the end."""
        self._score(batch, batch_idx, self.trainer.val_dataloaders)

    def on_validation_epoch_end(self) -> None:
        """Log the split validation loss."""
        self._log(self.val_split, "val/", 1)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same as validation, on the test pictures."""
        self._score(batch, batch_idx, self.trainer.test_dataloaders)

    def on_test_epoch_end(self) -> None:
        """Log the split test loss."""
        self._log(self.val_split, "test/", 1)

    def _score(self, batch: Batch, batch_idx: int, loader: Any) -> None:
        """Enter the losses of held-out pictures, each picture once over all processes."""
        sampler = getattr(loader, "batch_sampler", None)
        if isinstance(sampler, HeldOutBatchSampler) and sampler.repeats(batch_idx):
            return
        self.losses(batch, self.val_split)

    def _log(self, split: LossSplit, prefix: str, batch_size: int) -> None:
        values = split.read(distributed=self.trainer.world_size > 1)
        named = {prefix + key: value for key, value in values.items()}
        self.log_dict(named, batch_size=batch_size)

    def _stepped(self, batch_idx: int) -> bool:
        last = self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return last or (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0

    # -- optimiser -------------------------------------------------------------------------------

    def configure_optimizers(self) -> Optimizer:
        """The injected optimiser over all trained weights."""
        optimizer = self.make_optimizer(self.model.parameters())
        self._base_rates = [float(group["lr"]) for group in optimizer.param_groups]
        return optimizer

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Set the learning rate of this step from the step alone."""
        factor = self.learning_rate.factor(self.global_step)
        for group, rate in zip(optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = rate * factor

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by value or by norm, and keep the norm for the log.

        Lightning's own refuses fused optimisers under autocast, which concerns fp16 alone.
        """
        parameters = list(self.model.parameters())
        if gradient_clip_val and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        elif gradient_clip_val:
            self.grad_norm = torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    # -- set-up and checkpoints ------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Refuse precisions that would round pictures, or clip scaled gradients.

        Raises:
            ConfigError: The trainer computes in one of them.
        """
        precision = str(self.trainer.precision)
        if precision not in PRECISIONS:
            raise ConfigError(
                f"Setting up the model: expected trainer.precision to be one of "
                f"{', '.join(PRECISIONS)}, found {precision!r}. "
                f"Next: set --trainer.precision bf16-mixed."
            )

    def on_fit_start(self) -> None:
        """Lay the network out for its device and compile it; never this module itself."""
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        for part in self._to_compile:
            # In place: names in the state dict stay as they are (Lightning#21836 forbids compiling
            # the LightningModule).
            part.compile()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the plain-data description from which `composer-pl compose` rebuilds the model."""
        checkpoint[DESCRIPTION_KEY] = self.description

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another model; evaluate the averaged weights where there are any.

        Raises:
            CheckpointError: The checkpoint describes another model than the configuration.
        """
        refuse_other_model(self.description, checkpoint.get(DESCRIPTION_KEY))
        fitting = self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        if EMA_KEY in checkpoint and not fitting:
            average = checkpoint[EMA_KEY]["weights"]
            checkpoint["state_dict"].update(
                {MODEL_PREFIX + name: value for name, value in average.items()}
            )
