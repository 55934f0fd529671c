"""Train the base model from device memory: the loop of `composer-pl fit` without a data loader.

Model, process and loss are the project's own; only the shell differs. The learning rate warms up,
stays, and falls to zero over the last part, of the steps or of the seconds that were granted,
whichever ends first; so a lease that runs slower than planned still ends with a finished model.

On a GPU launching the kernels of this small model takes as long as running them on 512 pictures
(H100: batches of 256 and of 512 took 103 ms alike, the kernels of the larger 96 ms). So the network
is compiled, once for all trainings of a process, and optimiser, average and clipping work on one
flat tensor.
"""

import copy
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from bank import SIDE, Bank
from flat import Flat
from focus import draw_focused, draw_timesteps
from jaxtyping import Bool, Float
from torch import Tensor

from composer_pl.backbones.unet import UNetConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.plugin.api import ConditionPlugin

KeepFilter = Callable[[Tensor, Sequence[str], torch.Generator | None], Tensor]
"""Changes a keep mask `(n, b)`, given the names of its rows and a generator."""


@dataclass(kw_only=True)
class Trained:
    """What a training leaves.

    Attributes:
        weights: The averaged weights in half precision, on the CPU.
        curve: Step and mean loss since the last entry.
        steps: Steps made.
        seconds: Time they took, the first one left out.
        early: Averaged weights after `early_steps` steps, before the learning rate fell.
        early_steps: 0 where none were asked for.
    """

    weights: dict[str, Tensor]
    curve: list[tuple[int, float]]
    steps: int
    seconds: float
    early: dict[str, Tensor]
    early_steps: int


def read_config(path: Path) -> dict[str, Any]:
    """The `model` section of a configuration of `composer-pl fit`."""
    return yaml.safe_load(path.read_text())["model"]


def build_plugins(config: Mapping[str, Any]) -> dict[str, ConditionPlugin]:
    """The condition plugins of a `model` section."""
    plugins = {}
    for name, entry in config["conditions"].items():
        module, _, cls = entry["class_path"].rpartition(".")
        plugins[name] = getattr(importlib.import_module(module), cls)(**entry.get("init_args", {}))
    return plugins


def build_model(config: Mapping[str, Any], plugins: Mapping[str, ConditionPlugin]) -> ComposerModel:
    """An untrained model of a `model` section."""
    sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in config["backbone"].items()}
    return ComposerModel(UNetConfig(**sizes), ProcessConfig(**config["process"]), plugins)


def draw_keep(
    probs: Float[Tensor, " n"],
    batch: int,
    generator: torch.Generator,
    p_drop_all: float,
    p_keep_all: float,
) -> Bool[Tensor, "n b"]:
    """The rule `sample` of `composer_pl.conditions.dropout`, drawn on the device."""
    draws = torch.rand(len(probs) + 1, batch, generator=generator, device=probs.device)
    event, keep = draws[0], draws[1:] >= probs[:, None]
    keep = keep & (event >= p_drop_all)
    return keep | (event >= 1 - p_keep_all)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one training.

    Attributes:
        steps: Most steps.
        seconds: Most seconds; the falling of the learning rate keeps to them too.
        batch: Pictures a step.
        lr: Learning rate of AdamW.
        warmup: Steps of the linear warm-up.
        decay: Last part over which the learning rate falls to zero; 0 keeps it up.
        ema: Decay of the average.
        seed: Of all draws.
        p_drop_all: See `DropoutPolicy`.
        p_keep_all: See `DropoutPolicy`.
        early_steps: When to take `Trained.early`; 0 for never.
        early_rows: Scenes that are drawn until then; None draws all.
        focus: From then on, shares of the samples that keep one condition alone; see `focus.py`.
        noisy: From then on, the share of timesteps from the noisiest part, and where that begins.
    """

    steps: int
    seconds: float = float("inf")
    batch: int = 256
    lr: float = 6e-4
    warmup: int = 300
    decay: float = 0.3
    ema: float = 0.999
    seed: int = 0
    p_drop_all: float = 0.1
    p_keep_all: float = 0.1
    early_steps: int = 0
    early_rows: int | None = None
    focus: Mapping[str, float] = field(default_factory=dict)
    noisy: tuple[float, float] = (0.0, 0.0)


class BaseTrainer:
    """A model, its compiled forward pass, and trainings of it one after the other.

    Args:
        config: The `model` section of a configuration.
        plugins: Its conditions.
        device: Where to train; on a GPU in bfloat16, norms too, with the weights in float32.
        compiled: Compile the network; about 100 seconds on the lent machines, at the first step.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        plugins: Mapping[str, ConditionPlugin],
        device: torch.device,
        *,
        compiled: bool = False,
    ):
        self.config, self.device = config, device
        self.half = device.type == "cuda"
        torch.manual_seed(0)
        self.model = build_model(config, plugins).to(device).train()
        self.worker = copy.deepcopy(self.model).bfloat16() if self.half else self.model
        self.copies = Flat(self.worker.parameters())
        self.master = Flat(self.model.parameters()) if self.half else self.copies
        self.forward = self._forward
        if compiled:
            self.forward = torch.compile(self._forward, dynamic=False)
        self.probs = torch.tensor([p.drop_prob for p in plugins.values()], device=device)

    def _forward(
        self, x_t: Tensor, t: Tensor, values: Mapping[str, Tensor], keep: Tensor
    ) -> Tensor:
        return self.worker.predict(x_t, t, self.worker.encode(values, keep))

    def start(self, seed: int, weights: Mapping[str, Tensor] | None = None) -> None:
        """Give the model the fresh weights of a seed, or given ones."""
        if weights is None:
            torch.manual_seed(seed)
            weights = build_model(self.config, self.model.plugins).state_dict()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                value.copy_(weights[name])
            self.copies.values.copy_(self.master.values)

    def gradients(
        self, bank: Bank, s: Settings, focused: bool, generator: torch.Generator, keep_filter: Any
    ) -> Tensor:
        """One forward and backward pass; the mean loss, and gradients in `copies`."""
        among = None if focused or s.early_steps == 0 else s.early_rows
        x_0, values = bank.draw(s.batch, generator, among=among)
        keep = draw_keep(self.probs, s.batch, generator, s.p_drop_all, s.p_keep_all)
        timesteps = self.model.process_config.num_timesteps
        if focused:
            keep = draw_focused(keep, self.model.names, generator, s.focus)
        t = draw_timesteps(s.batch, timesteps, generator, s.noisy if focused else (0.0, 0.0))
        if keep_filter is not None:
            keep = keep_filter(keep, self.model.names, generator)
        eps = torch.randn(x_0.shape, generator=generator, device=self.device)
        x_t = self.model.process.q_sample(x_0, t, eps)
        if self.half:
            values = {name: value.bfloat16() for name, value in values.items()}
        raw = self.forward(x_t, t, values, keep)
        loss = self.model.process.loss(raw.float(), x_0, x_t, t, eps).mean()
        loss.backward()
        return loss.detach()

    def train(
        self,
        bank: Bank,
        settings: Settings,
        *,
        keep_filter: KeepFilter | None = None,
        until: Callable[[float], float] | None = None,
        log: Callable[[str], None] = print,
    ) -> Trained:
        """Train from the weights that the model has.

        Args:
            bank: What to train on, on the device.
            settings: Of the training.
            keep_filter: Changes the keep masks; for experiments.
            until: Told the seconds that the early steps took, answers the seconds of the whole;
                None keeps to `settings.seconds`.
            log: Told the loss every five seconds.
        """
        s, seconds = settings, settings.seconds
        generator = torch.Generator(self.device).manual_seed(s.seed)
        weights = self.master.values.requires_grad_(True)
        gradient = self.master.gradients
        weights.grad = gradient
        optimizer = torch.optim.AdamW([weights], lr=s.lr, weight_decay=0.0, fused=self.half)
        average = weights.detach().clone()
        losses: list[Tensor] = []
        curve: list[tuple[int, Tensor]] = []
        early: dict[str, Tensor] = {}
        began = told = time.monotonic()
        step = 0
        while True:
            progress = max(step / s.steps, (time.monotonic() - began) / seconds)
            if progress >= 1:
                break
            falls = (1 - progress) / s.decay if s.decay else 1.0
            for group in optimizer.param_groups:
                group["lr"] = s.lr * min(1.0, (step + 1) / s.warmup, falls)
            focused = bool(s.focus) and step >= s.early_steps
            losses.append(self.gradients(bank, s, focused, generator, keep_filter))
            self.copies.gather(gradient)
            with torch.no_grad():
                gradient.mul_((1 / (gradient.norm() + 1e-6)).clamp(max=1))
                optimizer.step()
                if self.half:
                    self.copies.values.copy_(weights)
                average.lerp_(weights, 1 - min(s.ema, (step + 1) / (step + 10)))
            step += 1
            if step == 1:  # what a first step costs is not training
                first = float(losses[-1])
                log(f"base step 1: loss {first:.4f} after {time.monotonic() - began:.1f} s")
                began = told = time.monotonic()
            if step == s.early_steps:
                early = self._halves(average)  # waits for the device
                if until is not None:
                    seconds = until(time.monotonic() - began)
            if step % 50 == 0 or step == s.steps:
                recent = torch.stack(losses).mean()
                losses.clear()
                curve.append((step, recent))
                if time.monotonic() - told > 5:
                    told = time.monotonic()
                    log(
                        f"base step {step}: loss {float(recent):.4f}, "
                        f"{step * s.batch / (told - began):.0f} pictures/s, {told - began:.0f} s"
                    )
        if self.half:
            torch.cuda.synchronize()
        weights.requires_grad_(False)
        return Trained(
            weights=self._halves(average),
            curve=[(at, float(value)) for at, value in curve],
            steps=step,
            seconds=time.monotonic() - began,
            early=early,
            early_steps=s.early_steps if early else 0,
        )

    def _halves(self, average: Tensor) -> dict[str, Tensor]:
        """Weights in half precision on the CPU, with the averages of parameters."""
        found = {name: value.detach() for name, value in self.model.state_dict().items()}
        names = [name for name, _ in self.model.named_parameters()]
        found |= dict(zip(names, self.master.split(average.detach()), strict=True))
        return {
            name: (value.half() if value.is_floating_point() else value).cpu()
            for name, value in found.items()
        }


def empty_bank(
    plugins: Mapping[str, ConditionPlugin], device: torch.device, *, rows: int = 512
) -> Bank:
    """A bank without content, whose draws have the shapes of a real one; to compile with."""
    fixed = {}
    for name in ("caption", "semantics", "color", "sketch", "instances", "depth"):
        spec = plugins[name].spec
        local = plugins[name].scope == "local"
        shape = (spec.shape[0], SIDE, SIDE) if local else spec.shape
        dtype = torch.uint8 if local else torch.float16
        fixed[name] = torch.zeros(rows, *shape, dtype=dtype, device=device)
    return Bank(
        x_0=torch.zeros(rows, 3, SIDE, SIDE, dtype=torch.uint8, device=device),
        fixed=fixed,
        texts=1,
        masks=torch.ones(8, 1, SIDE, SIDE, dtype=torch.bool, device=device),
        greys=torch.full((1, 3), 1 / 3, device=device),
    )
