"""Train the base model from device memory: the loop of `composer-pl fit` without a data loader.

Model, process and loss are the project's own; only the shell differs. The learning rate warms up,
stays, and falls to zero over the last part, of the steps or of the seconds that were granted,
whichever ends first; so a lease that runs slower than planned still ends with a finished model.
"""

import copy
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from bank import Bank
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


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How the network computes; weights and their average stay in float32.

    Attributes:
        half: Forwards and backwards through a bfloat16 copy of the model, so that norms are in
            bfloat16 too; False is autocast.
        channels_last: Memory layout.
    """

    half: bool = True
    channels_last: bool = False


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


def reset(model: ComposerModel, config: Mapping[str, Any], seed: int) -> None:
    """Give a model the fresh weights of a seed, in place, so that what was compiled stays valid."""
    torch.manual_seed(seed)
    fresh = build_model(config, model.plugins)
    model.load_state_dict(fresh.state_dict())


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


def train_base(
    model: ComposerModel,
    bank: Bank,
    *,
    steps: int,
    seconds: float,
    batch: int = 512,
    lr: float = 8e-4,
    warmup: int = 300,
    decay: float = 0.3,
    ema: float = 0.999,
    seed: int = 0,
    p_drop_all: float = 0.1,
    p_keep_all: float = 0.1,
    keep_filter: KeepFilter | None = None,
    precision: Precision = Precision(half=False),
    early_seconds: float = float("inf"),
    early_rows: int | None = None,
    log: Callable[[str], None] = print,
) -> Trained:
    """Train a model in place.

    Args:
        model: On the bank's device.
        bank: What to train on.
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
        keep_filter: Changes the keep masks; for experiments.
        precision: How to compute; autocast counts on a GPU only.
        early_seconds: When to take `Trained.early`.
        early_rows: Scenes that are drawn until then; None draws all.
        log: Told the loss every five seconds.
    """
    device = bank.x_0.device
    generator = torch.Generator(device).manual_seed(seed)
    model.train().requires_grad_(True)
    parameters = list(model.parameters())
    cuda = device.type == "cuda"
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0, fused=cuda)
    names = list(model.state_dict())
    live = list(model.state_dict().values())
    average = [tensor.detach().clone() for tensor in live]
    probs = torch.tensor([p.drop_prob for p in model.plugins.values()], device=device)
    process, timesteps = model.process, model.process_config.num_timesteps
    half = precision.half
    worker = copy.deepcopy(model).bfloat16() if half else model
    if precision.channels_last:
        worker.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    copies = list(worker.parameters())

    losses: list[Tensor] = []
    curve: list[tuple[int, float]] = []
    began = told = time.monotonic()
    early: list[Tensor] = []
    step = early_steps = 0
    while True:
        progress = max(step / steps, (time.monotonic() - began) / seconds)
        if progress >= 1:
            break
        rate = lr * min(1.0, (step + 1) / warmup, (1 - progress) / decay if decay else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        x_0, values = bank.draw(batch, generator, among=early_rows if early_steps == 0 else None)
        keep = draw_keep(probs, batch, generator, p_drop_all, p_keep_all)
        if keep_filter is not None:
            keep = keep_filter(keep, model.names, generator)
        t = torch.randint(timesteps, (batch,), generator=generator, device=device)
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        x_t = process.q_sample(x_0, t, eps)
        if half:
            values = {name: value.bfloat16() for name, value in values.items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=cuda and not half):
            raw = worker.predict(x_t, t, worker.encode(values, keep))
        loss = process.loss(raw.float(), x_0, x_t, t, eps).mean()
        loss.backward()
        if half:
            for parameter, twin in zip(parameters, copies, strict=True):
                parameter.grad = None if twin.grad is None else twin.grad.float().contiguous()
                twin.grad = None
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if half:
            with torch.no_grad():
                torch._foreach_copy_(copies, parameters)
        torch._foreach_lerp_(average, live, 1 - min(ema, (step + 1) / (step + 10)))
        losses.append(loss.detach())
        step += 1
        if step == 1:  # compiling is not training: the granted seconds begin here
            first = float(loss.detach())
            log(f"base step 1: loss {first:.4f} after {time.monotonic() - began:.1f} s")
            began = told = time.monotonic()
        if early_steps == 0 and time.monotonic() - began > early_seconds:
            early, early_steps = [tensor.half() for tensor in average], step
        if step % 50 == 0 or step == steps:
            recent = torch.stack(losses).mean()
            losses.clear()
            curve.append((step, recent))  # type: ignore[arg-type]  # read when the run is over
            if time.monotonic() - told > 5:
                told = time.monotonic()
                log(
                    f"base step {step}: loss {float(recent):.4f}, "
                    f"{step * batch / (told - began):.0f} pictures/s, {told - began:.0f} s"
                )
    if cuda:
        torch.cuda.synchronize()
    took = time.monotonic() - began
    return Trained(
        weights=_halves(names, average),
        curve=[(at, float(value)) for at, value in curve],
        steps=step,
        seconds=took,
        early=_halves(names, early) if early_steps else {},
        early_steps=early_steps,
    )


def _halves(names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu()
        for name, tensor in zip(names, tensors, strict=True)
    }
