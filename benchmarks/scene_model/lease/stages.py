"""Lease, third program: both stages of the cascade, 64 to 256 to 1024 px, from device memory.

python benchmarks/scene_model/lease/stages.py --work DIR --out OUT --plan full

Model, degradation and loss are those of `composer-pl fit` with configs/upsample-scenes-*.yaml; only
the shell differs. The second stage begins from the weights of the first.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import cos, pi
from pathlib import Path
from typing import Any

from desk import SCENE_MODEL, Desk  # isort: skip
import arms
import torch
import torch.nn.functional as F
import yaml
from flat import Flat
from products import Products
from torch import Tensor

from composer_pl.backbones.unet import UNetConfig
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig, requantised

_CHUNK = 2**23
"""Pixels that are rendered and made small together."""

_VARIANTS = {"none": 1, "bsr_light": 3}
"""Small pictures of each large one; corrupted ones differ."""


@dataclass(kw_only=True)
class Pairs:
    """Large pictures `(n, 3, s, s)` and small ones `(n, variants, 3, s/4, s/4)`, 8 bits."""

    large: Tensor
    small: Tensor


def described(seed: int, numbers: range) -> list[Scene]:
    """Scenes of a part; runs in a worker process."""
    sampler = SceneSampler(seed, arms.RULES["A"])
    return [sampler.scene(number) for number in numbers]


def render_pairs(
    model: UpsamplerModel, count: int, seed: int, desk: Desk, *, area: bool = False
) -> Pairs:
    """Scenes of a seed at the model's size, and made small as training shows them.

    Args:
        model: The stage.
        count: How many scenes.
        seed: Of the scenes.
        desk: Device, workers and log.
        area: Small pictures are area averages, as those that `scenes-64` learned from, in place of
            antialiased bicubic interpolation.
    """
    side, factor = model.config.resolution, model.upsampling.factor
    each = max(_CHUNK // side**2, 1)
    parts = [range(i, min(i + each, count)) for i in range(0, count, each)]
    variants = _VARIANTS[model.upsampling.degradation]
    device, few = desk.device, side // factor
    large = torch.empty(count, 3, side, side, dtype=torch.uint8, device=device)
    small = torch.empty(count, variants, 3, few, few, dtype=torch.uint8, device=device)
    make = partial(described, seed)
    workers = min(desk.plan.workers, 4)
    pool = multiprocessing.get_context("fork").Pool(workers) if workers else None
    for part, scenes in zip(
        parts, pool.imap(make, parts) if pool else map(make, parts), strict=True
    ):
        rows = slice(part.start, part.stop)
        large[rows] = render(scenes, side, device=device).pixels
        pictures = large[rows].float() / 127.5 - 1
        if area:
            low = requantised(F.avg_pool2d(pictures, factor))
        else:
            low = requantised(
                F.interpolate(pictures, scale_factor=1 / factor, mode="bicubic", antialias=True)
            )
        for variant in range(variants):
            keys = torch.arange(part.start, part.stop) * variants + variant
            shown = model.shown(low, pictures, keys)
            small[rows, variant] = ((shown + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    if pool:
        pool.terminate()
    desk.log(f"{count} pairs of {side} px")
    return Pairs(large=large, small=small)


def draw(
    pairs: Pairs, batch: int, crop: int, factor: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Crops of large pictures and of their small ones, mirrored half of the time, in [-1, 1]."""
    device, side = pairs.large.device, pairs.large.shape[-1]

    def integers(high: int) -> Tensor:
        return torch.randint(high, (batch,), generator=generator, device=device)

    rows, variant = integers(len(pairs.large)), integers(pairs.small.shape[1])
    top, left = integers((side - crop) // factor + 1), integers((side - crop) // factor + 1)
    mirrored = (integers(2) == 1)[:, None, None, None]

    large = _cut(pairs.large, rows, top * factor, left * factor, crop)
    small = pairs.small.flatten(0, 1)
    low = _cut(small, rows * pairs.small.shape[1] + variant, top, left, crop // factor)
    return torch.where(mirrored, large.flip(3), large), torch.where(mirrored, low.flip(3), low)


def _cut(pictures: Tensor, rows: Tensor, y: Tensor, x: Tensor, length: int) -> Tensor:
    """Crops of chosen pictures, without a copy of whole ones."""
    steps = torch.arange(length, device=pictures.device)
    found = pictures[
        rows[:, None, None, None],
        torch.arange(3, device=pictures.device)[None, :, None, None],
        (y[:, None] + steps)[:, None, :, None],
        (x[:, None] + steps)[:, None, None, :],
    ]
    return found.float() / 127.5 - 1


def train(
    model: UpsamplerModel,
    pairs: Pairs,
    *,
    seconds: float,
    batch: int,
    lr: float,
    desk: Desk,
    bfloat16: bool = False,
) -> tuple[dict[str, Tensor], list[tuple[int, float]]]:
    """Train in place, in bfloat16 on a GPU or where asked for.

    Returns:
        The averaged weights in half precision on the CPU, and the curve.
    """
    device, cuda = desk.device, desk.device.type == "cuda"
    generator = torch.Generator(device).manual_seed(0)
    model.train().requires_grad_(True)
    flat = Flat(model.parameters())
    weights = flat.values.requires_grad_(True)
    weights.grad = flat.gradients
    optimizer = torch.optim.AdamW([weights], lr=lr, weight_decay=0.0, fused=cuda)
    average = weights.detach().clone()
    crop, factor = model.config.crop, model.upsampling.factor
    timesteps = model.process.schedule.num_timesteps
    curve: list[tuple[int, float]] = []
    losses: list[Tensor] = []
    began = time.monotonic()
    step = 0
    while (progress := (time.monotonic() - began) / seconds) < 1:
        rate = lr * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * (1 + cos(pi * progress)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        x_0, low = draw(pairs, batch, crop, factor, generator)
        t = torch.randint(timesteps, (batch,), generator=generator, device=device)
        level = torch.rand(batch, generator=generator, device=device) * model.upsampling.max_level
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        noise = torch.randn(low.shape, generator=generator, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=cuda or bfloat16):
            loss = model.loss(x_0, low, t, eps, level=level, low_noise=noise).mean()
        loss.backward()
        flat.gather(flat.gradients)
        with torch.no_grad():
            flat.gradients.mul_((1 / (flat.gradients.norm() + 1e-6)).clamp(max=1))
            optimizer.step()
            average.lerp_(weights, 1 - min(0.999, (step + 1) / (step + 10)))
        losses.append(loss.detach())
        step += 1
        if step % 100 == 0:
            curve.append((step, float(torch.stack(losses).mean())))
            losses.clear()
            pace = step / (time.monotonic() - began)
            desk.log(f"{model.config.resolution} px step {step}: {curve[-1][1]:.4f}, {pace:.1f}/s")
    weights.requires_grad_(False)
    names = [name for name, _ in model.named_parameters()]
    halves = {n: t.half().cpu() for n, t in zip(names, flat.split(average), strict=True)}
    return halves, curve


def build(side: int) -> UpsamplerModel:
    """A stage with fresh weights, as its configuration says."""
    path = SCENE_MODEL.parents[1] / "configs" / f"upsample-scenes-{side}.yaml"
    config: Mapping[str, Any] = yaml.safe_load(path.read_text())["model"]
    sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in config["backbone"].items()}
    torch.manual_seed(0)
    return UpsamplerModel(
        UNetConfig(**sizes),
        ProcessConfig(**config["process"]),
        {},
        UpsamplingConfig(**config["upsampling"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", default="tiny")
    args = parser.parse_args()
    desk = Desk(args.work, args.plan, "stages")
    plan, products = desk.plan, Products(args.out, args.work)
    weights: dict[str, Tensor] = {}
    for number, (side, lr) in enumerate(((256, 1.5e-3), (1024, 1e-3))):
        model = build(side).to(desk.device)
        if weights:
            model.load_state_dict({name: value.float() for name, value in weights.items()})
        pairs = render_pairs(model, plan.large[number], number + 1, desk)
        weights, curve = train(
            model, pairs, seconds=plan.stage_seconds[number], batch=plan.stage_batch[number],
            lr=lr, desk=desk,
        )  # fmt: skip
        products.write_model(f"stage-{side}", model.describe(), weights)
        products.write_json(f"stage-{side}/curve.json", curve)
        desk.log(f"stage {side}: {json.dumps(curve[-1:])}")
        del pairs
    desk.log("end")


if __name__ == "__main__":
    main()
