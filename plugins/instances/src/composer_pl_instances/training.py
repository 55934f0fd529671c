"""Training the tiny network on procedural scenes, wholly on one device.

The scenes lie on the device as bytes; pictures, boxes and masks of a batch are made there, and a
step waits for the device only where ultralytics' loss does.
"""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from composer_pl.plugin import ConfigError
from composer_pl_instances.loss import padded_loss
from composer_pl_instances.networks import build_described, file_metadata
from composer_pl_instances.tiny import CANVAS, NAMES, description
from composer_pl_instances.truth import Targets, targets

_EVERY = 5.0  # seconds between two lines of progress
_WARM_UP = 100
_DECAY = 0.05  # of weights; not of biases and normalisations
_AVERAGE = 0.998  # of the moving average of weights, once it has come so far


def train(
    pixels: UInt8[Tensor, "n 3 side side"],
    ids: UInt8[Tensor, "n side side"],
    attributes: Int8[Tensor, "n slots 6"],
    *,
    steps: int,
    batch: int = 128,
    device: str | torch.device = "cuda",
    seed: int = 0,
    lr: float = 2e-3,
    size: int = CANVAS,
    seconds: float = math.inf,
    log: Callable[[str], object] = print,
) -> dict[str, Tensor]:
    """Train the network of `tiny.description` from nothing.

    Args:
        pixels: Pictures in 8-bit sRGB.
        ids: Instance seen at each pixel, 0 none, object i is i + 1.
        attributes: Of each object; column 3 is the index of its shape, -1 none.
        steps: Optimiser steps at most: warm-up, then cosine to nothing.
        batch: Pictures a step, drawn with replacement.
        device: Where everything happens; the scenes are moved there.
        seed: Of weights, batches and jitter.
        lr: Highest learning rate of AdamW.
        size: Side of the pictures that the network sees, a multiple of 32.
        seconds: Longest time that the steps may take; the learning rate then falls with the time
            where that is used up sooner. A run that it ends is not the same on another machine.
        log: Called with a line every five seconds.

    Returns:
        The moving average of the weights, on the CPU: what `save` takes.

    Raises:
        ConfigError: The scenes or a number are unusable.
    """
    _check(pixels, ids, attributes, steps=steps, batch=batch, size=size, seconds=seconds)
    device = torch.device(device)
    pixels, ids, attributes = (part.to(device) for part in (pixels, ids, attributes))
    truth = targets(ids, attributes)
    network = _untrained(seed).to(device, memory_format=torch.channels_last)
    network.criterion = padded_loss(network, attributes.shape[1])
    optimizer = _optimizer(network, device)
    live = [entry for entry in network.state_dict().values() if entry.is_floating_point()]
    average = [entry.clone() for entry in live]
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    generator = torch.Generator(device).manual_seed(seed)
    host = random.Random(seed)
    began = told = time.monotonic()
    step, share = 0, 0.0  # of the steps or of the time, whichever is used up sooner
    while share < 1:
        for group in optimizer.param_groups:
            group["lr"] = lr * _schedule(step, share, steps)
        rows = torch.randint(len(pixels), (batch,), device=device, generator=generator)
        sample = _batch(pixels, ids, truth, rows, size=size, generator=generator, host=host)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            answers = network(sample["img"])
        parts, _ = network.loss(sample, _in_float(answers))
        optimizer.zero_grad(set_to_none=True)
        (parts.sum() / batch).backward()
        torch.nn.utils.clip_grad_norm_(trained, 10.0)
        optimizer.step()
        step += 1
        keep = min(_AVERAGE, step / (step + 9))
        with torch.no_grad():
            torch._foreach_lerp_(average, live, 1 - keep)  # pyright: ignore[reportPrivateImportUsage]
        now = time.monotonic()
        share = max(step / steps, (now - began) / seconds)
        if now - told >= _EVERY or share >= 1:
            told = now
            log(_progress(step, steps, parts.detach() / batch, now - began))
    with torch.no_grad():
        for entry, mean in zip(live, average, strict=True):
            entry.copy_(mean)
    return {name: entry.detach().cpu().clone() for name, entry in network.state_dict().items()}


def save(state: dict[str, Tensor], path: str | Path) -> None:
    """Write trained weights in half precision, in the format that `Instances` loads.

    Args:
        state: What `train` returned.
        path: The safetensors file to write.

    Raises:
        ConfigError: Weights are not finite in half precision.
        UserInputError: The tensors are not those of the tiny network.
    """
    from safetensors.torch import save_file

    path = Path(path)
    halves = {
        name: (entry.half() if entry.is_floating_point() else entry).contiguous()
        for name, entry in state.items()
    }
    for name, entry in halves.items():
        if not entry.isfinite().all():
            raise ConfigError(
                f"Saving the network of scenes to {path}: expected finite numbers, found others in "
                f"{name}. Next: train again, with a smaller learning rate."
            )
    metadata = file_metadata(description(), NAMES, halves, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, path, metadata=metadata)


def _untrained(seed: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_described(description(), Path("tiny-scenes"))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1  # the library's 0.03 is for runs a hundred times as long
    return network.train()


def _optimizer(network: Any, device: torch.device) -> torch.optim.Optimizer:
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": _DECAY},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=device.type == "cuda")


def _schedule(step: int, share: float, steps: int) -> float:
    """Share of the highest learning rate, `share` of the run done."""
    warm_up = min(1.0, (step + 1) / max(1, min(_WARM_UP, steps // 10)))
    return warm_up * 0.5 * (1 + math.cos(math.pi * share))


def _batch(
    pixels: Tensor,
    ids: Tensor,
    truth: Targets,
    rows: Tensor,
    *,
    size: int,
    generator: torch.Generator,
    host: random.Random,
) -> dict[str, Tensor]:
    """A batch as `loss.padded_loss` wants it: half of it flipped, colours and sharpness varied."""
    count, device = len(rows), pixels.device
    flip = torch.rand(count, device=device, generator=generator) < 0.5
    picture = pixels[rows].float() / 255
    picture = torch.where(flip[:, None, None, None], picture.flip(3), picture)
    seen = ids[rows]
    seen = torch.where(flip[:, None, None], seen.flip(2), seen)
    boxes = truth.boxes[rows]
    across = torch.where(flip[:, None] & truth.seen[rows], 1 - boxes[..., 0], boxes[..., 0])
    boxes = torch.cat([across[..., None], boxes[..., 1:]], 2)
    slots = boxes.shape[1]
    return {
        "img": _jitter(_seen_at(picture, size, host), generator),
        "batch_idx": torch.arange(count, device=device).repeat_interleave(slots).float(),
        "cls": truth.classes[rows].reshape(-1).float(),
        "bboxes": boxes.reshape(-1, 4),
        "masks": seen,
    }


def _seen_at(
    picture: Float[Tensor, "b 3 side side"], size: int, host: random.Random
) -> Float[Tensor, "b 3 size size"]:
    """Bring pictures to `size` as extraction does; every third batch as if drawn at half the side.

    Composed pictures are as small, and the extractor sees them enlarged.
    """
    if host.random() < 1 / 3:
        picture = interpolate(picture, scale_factor=0.5, mode="area")
    if host.random() < 0.5:
        picture = interpolate(picture, size=(size, size), mode="bicubic", antialias=True)
    else:
        picture = interpolate(picture, size=(size, size), mode="bilinear", antialias=True)
    return picture.clamp(0, 1)


def _jitter(
    picture: Float[Tensor, "b 3 h w"], generator: torch.Generator
) -> Float[Tensor, "b 3 h w"]:
    """Vary brightness, the colour of light, saturation and noise, each picture by itself."""

    def draw(channels: int, low: float, high: float) -> Tensor:
        shape = (len(picture), channels, 1, 1)
        share = torch.rand(shape, device=picture.device, generator=generator)
        return low + (high - low) * share

    grey = picture.mean(1, keepdim=True)
    picture = grey + draw(1, 0.6, 1.3) * (picture - grey)
    picture = picture * draw(1, 0.7, 1.3) * draw(3, 0.9, 1.1)
    noise = torch.randn(picture.shape, device=picture.device, generator=generator)
    picture = (picture + draw(1, 0.0, 0.03) * noise).clamp(0, 1)
    return picture.contiguous(memory_format=torch.channels_last)


def _in_float(answers: dict[str, Any]) -> dict[str, Any]:
    """Answers in single precision, as boxes and their assignment need it."""
    return {
        name: [part.float() for part in answer] if isinstance(answer, list) else answer.float()
        for name, answer in answers.items()
    }


def _progress(step: int, steps: int, parts: Tensor, seconds: float) -> str:
    box, mask, kind, edge, _ = parts.tolist()
    return (
        f"instances {step}/{steps}: box {box:.3f}, mask {mask:.3f}, class {kind:.3f}, "
        f"edges {edge:.3f}; {step / seconds:.1f} steps/s, {seconds:.0f} s"
    )


def _check(
    pixels: Tensor,
    ids: Tensor,
    attributes: Tensor,
    *,
    steps: int,
    batch: int,
    size: int,
    seconds: float,
) -> None:
    """Refuse what cannot be trained on, before anything is built."""
    count, side = len(pixels), pixels.shape[-1]
    legal = {
        "bytes": pixels.dtype == ids.dtype == torch.uint8,
        "at least one scene": count > 0,
        f"pixels of the shape ({count}, 3, side, side)": pixels.shape == (count, 3, side, side),
        f"ids of the shape ({count}, {side}, {side})": ids.shape == (count, side, side),
        f"attributes of the shape ({count}, slots, 6)": (
            attributes.ndim == 3 and len(attributes) == count and attributes.shape[2] == 6
        ),
        "steps and batch of at least 1": steps > 0 and batch > 0,
        "seconds above 0": seconds > 0,
        "size, a positive multiple of 32": size > 0 and size % 32 == 0,
    }
    for rule, holds in legal.items():
        if not holds:
            raise ConfigError(
                f"Training the network of scenes: expected {rule}, found pixels "
                f"{tuple(pixels.shape)}, ids {tuple(ids.shape)}, attributes "
                f"{tuple(attributes.shape)}, steps {steps}, batch {batch}, size {size}, "
                f"seconds {seconds}. Next: correct what is told."
            )
