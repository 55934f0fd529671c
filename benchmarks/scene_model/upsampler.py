"""The upsampler of scenes, 64 px to 128 px: training from pictures on a device, and measures.

Both are plain functions over a `Corpus`. Training waits for the
device only to tell its loss every few seconds.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import cos, pi
from random import Random
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from composer_pl.backbones.unet import UNetConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig, requantised
from composer_pl.models.upsampling import UPSAMPLING, upsample

BACKBONE = UNetConfig(
    channels=48,
    channel_mult=(1, 2, 2),
    num_res_blocks=1,
    attention_levels=(),
    head_dim=48,
    context_dim=0,
    hint_channels=0,
    hint_scale=1,
    dropout=0.0,
    in_channels=6,
    out_channels=3,
    patch_size=2,
    resolution=128,
)
"""2.9 M parameters; a patch of 2 makes the grid of its first level that of the small picture."""
PROCESS = ProcessConfig(schedule="cosine", prediction="v", variance="fixed")
SETTINGS = UpsamplingConfig(factor=2, max_level=0.2, level=0.0, residual=12.0)


class Pictures(Protocol):
    """The part of a `Corpus` that is read here: `UInt8[Tensor, "n 3 s s"]` on one device."""

    pixels: Tensor


def train_upsampler(
    corpus: Pictures,
    *,
    steps: int,
    batch: int,
    device: str | torch.device,
    seed: int,
    lr: float = 4e-4,
    warmup: int = 200,
    ema: float = 0.999,
    compile: bool = False,
    log: Callable[[str], None] = print,
    backbone: UNetConfig = BACKBONE,
    settings: UpsamplingConfig = SETTINGS,
    crop: int = 0,
    start: Mapping[str, Tensor] | None = None,
    channels_last: bool = True,
    every: int = 50,
) -> tuple[dict[str, Any], dict[str, Tensor], list[dict[str, float]]]:
    """Train an upsampler; AdamW, linear warm-up, then a cosine to a hundredth of the rate.

    Args:
        corpus: Pictures of side `backbone.resolution` on `device`; their area averages are the
            small pictures.
        steps: Training steps.
        batch: Pictures a step, drawn with replacement and mirrored half of the time.
        device: Where to train; bf16 autocast on CUDA, float32 elsewhere.
        seed: Of weights, order and noise.
        lr: Highest learning rate.
        warmup: Steps of warm-up.
        ema: Decay of the averaged weights; lower in the first steps.
        compile: Compile the network; about a minute before the first step.
        log: Called with a line every 5 seconds.
        backbone: Size of the U-Net.
        settings: Factor and noise of the small pictures.
        crop: Side of the part of the pictures that a step is trained on, another part each step;
            0 for all of them. unCLIP trains on crops of a quarter of the side.
        start: Weights to go on from; None begins anew.
        channels_last: Memory layout on CUDA.
        every: Steps whose mean loss is one point of the curve.

    Returns:
        The model's description, the averaged weights in float16 on the CPU, and the curve: step,
        mean loss of the `every` steps before it, seconds since the start.
    """
    device = torch.device(device)
    cuda = device.type == "cuda"
    torch.manual_seed(seed)
    model = UpsamplerModel(backbone, PROCESS, {}, settings).to(device)
    if start is not None:
        model.load_state_dict({name: weight.float() for name, weight in start.items()})
    if channels_last and cuda:
        model.to(memory_format=torch.channels_last)
    if compile:
        model.backbone.compile()
    weights = list(model.parameters())
    averages = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=1e-2, fused=cuda)
    generator = torch.Generator(device).manual_seed(seed)
    host = Random(seed)
    losses = torch.zeros(steps, device=device)
    start = told = time.perf_counter()
    said: list[tuple[int, float]] = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * learning_rate(step, steps, warmup)
        pixels = corpus.pixels
        if crop:
            places = (pixels.shape[-1] - crop) // settings.factor + 1
            top, left = (settings.factor * host.randrange(places) for _ in range(2))
            pixels = pixels[:, :, top : top + crop, left : left + crop]
        loss = _loss(model, pixels, batch, generator, layout=channels_last and cuda)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            losses[step] = loss.detach()
            decay = min(ema, (1 + step) / (10 + step))
            for average, weight in zip(averages, weights, strict=True):
                average.lerp_(weight, 1 - decay)
        now = time.perf_counter()
        if now - told >= 5 or step + 1 == steps:
            recent = losses[max(0, step + 1 - every) : step + 1].mean().item()
            now = told = time.perf_counter()  # the queue is empty only now
            said.append((step + 1, now - start))
            rate = batch * (step + 1) / (now - start)
            log(f"upsampler step {step + 1}/{steps} loss {recent:.5f} {rate:.0f} pictures/s")
    names = [name for name, _ in model.named_parameters()]
    state = {
        name: average.to(torch.float16, memory_format=torch.contiguous_format).cpu()
        for name, average in zip(names, averages, strict=True)
    }
    return model.describe(), state, _curve(losses.cpu(), every, said)


def learning_rate(step: int, steps: int, warmup: int) -> float:
    """Share of the highest rate at a step: up linearly, down to 0.01 along a cosine."""
    up = min(1.0, (step + 1) / max(min(warmup, steps // 4), 1))
    return up * (0.01 + 0.99 * (1 + cos(pi * step / steps)) / 2)


def _loss(
    model: UpsamplerModel, pixels: Tensor, batch: int, generator: torch.Generator, *, layout: bool
) -> Tensor:
    """The mean loss of one batch; every draw is the generator's, on its device."""
    device = pixels.device

    def uniform() -> Tensor:
        return torch.rand(batch, device=device, generator=generator)

    chosen = torch.randint(len(pixels), (batch,), device=device, generator=generator)
    pictures = pixels[chosen]
    mirrored = (uniform() < 0.5)[:, None, None, None]
    pictures = torch.where(mirrored, pictures.flip(3), pictures)
    x_0 = pictures.float() / 127.5 - 1
    low = small(x_0, model.upsampling.factor)
    t = torch.randint(
        model.process.schedule.num_timesteps, (batch,), device=device, generator=generator
    )
    level = uniform() * model.upsampling.max_level
    eps = torch.randn(x_0.shape, device=device, generator=generator)
    low_noise = torch.randn(low.shape, device=device, generator=generator)
    if layout:
        x_0, eps = (x.contiguous(memory_format=torch.channels_last) for x in (x_0, eps))
    half = device.type == "cuda" or torch.is_autocast_enabled("cpu")
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        return model.loss(x_0, low, t, eps, level=level, low_noise=low_noise).mean()


def small(pictures: Tensor, factor: int) -> Tensor:
    """The area averages of pictures in [-1, 1], rounded to 8 bits as they are at inference."""
    return requantised(F.avg_pool2d(pictures, factor))


def _curve(losses: Tensor, every: int, said: list[tuple[int, float]]) -> list[dict[str, float]]:
    curve = []
    for end in range(every, len(losses) + 1, every):
        later = next(((step, at) for step, at in said if step >= end), said[-1])
        seconds = later[1] * end / later[0]
        mean = losses[end - every : end].mean().item()
        curve.append({"step": end, "loss": round(mean, 6), "seconds": round(seconds, 1)})
    return curve


# -- measures --------------------------------------------------------------------------------------


@torch.no_grad()
def measure_upsampler(
    model: UpsamplerModel,
    corpus: Pictures,
    *,
    recipe: SamplingRecipe = UPSAMPLING,
    level: float | None = None,
    batch: int = 64,
    seed: int = 0,
) -> dict[str, Any]:
    """Hold upsampled area averages against the true pictures, beside bicubic interpolation.

    Pictures are rounded to 8 bits first. A diffusion model draws one of many pictures that the
    small one allows, so it may lose PSNR, whose best answer is their blurred mean, to bicubic; it
    should win in sharpness.

    Args:
        model: In evaluation mode, on the device of the corpus.
        corpus: Scenes that training has not seen.
        recipe: How to sample.
        level: Noise level of the small pictures; None takes the model's setting.
        batch: Pictures at once.
        seed: Of the noise.

    Returns:
        For `model` and `bicubic`: `psnr` (dB, mean of pictures), `psnr_edges` (dB over the tenth of
        each picture's pixels with the steepest true gradient), `gradient_error` (mean absolute
        error of pixel differences, grey levels of 255), `sharpness` (energy of pixel differences
        over that of the true pictures, 1 is right) and `consistency` (PSNR of the output's area
        average against the small picture, dB). `better_psnr` is the share of pictures where the
        model has the higher PSNR.
    """
    recipe = SamplingRecipe(**{**asdict(recipe), "max_batch": batch})
    factor = model.upsampling.factor
    keys = sample_keys(seed, len(corpus.pixels))
    found: dict[str, list[dict[str, Tensor]]] = {"model": [], "bicubic": []}
    for start in range(0, len(keys), batch):
        truth = corpus.pixels[start : start + batch].float() / 127.5 - 1
        low = small(truth, factor)
        drawn = upsample(model, low, recipe, keys=keys[start : start + batch], level=level)
        found["model"].append(_measures(requantised(drawn), truth, low, factor))
        rival = requantised(model.enlarge(low))
        found["bicubic"].append(_measures(rival, truth, low, factor))
    columns = {
        name: {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        for name, parts in found.items()
    }
    better = columns["model"]["psnr"] > columns["bicubic"]["psnr"]
    return {
        "pictures": len(keys),
        "steps": recipe.steps,
        "sampler": recipe.sampler,
        "level": model.upsampling.level if level is None else level,
        "better_psnr": round(better.float().mean().item(), 4),
        **{
            name: {key: round(value.mean().item(), 4) for key, value in column.items()}
            for name, column in columns.items()
        },
    }


def _measures(found: Tensor, truth: Tensor, low: Tensor, factor: int) -> dict[str, Tensor]:
    """One number a picture and measure; pictures in [-1, 1]."""
    error = (found - truth).square().mean(1)  # b h w
    steepness = sum(F.pad(d, pad).abs().mean(1) for d, pad in _differences(truth))
    assert isinstance(steepness, Tensor)
    tenth = max(steepness[0].numel() // 10, 1)
    steepest = steepness.flatten(1).topk(tenth, dim=1).indices
    pairs = list(zip(_differences(found), _differences(truth), strict=True))
    gradient = sum((a - b).abs().mean((1, 2, 3)) for (a, _), (b, _) in pairs) / 2 * 127.5
    ours = sum(a.square().sum((1, 2, 3)) for (a, _), _ in pairs)
    true = sum(b.square().sum((1, 2, 3)) for _, (b, _) in pairs)
    assert isinstance(gradient, Tensor)
    assert isinstance(ours, Tensor)
    assert isinstance(true, Tensor)
    again = F.avg_pool2d(found, factor)
    return {
        "psnr": _psnr(error.flatten(1).mean(1)),
        "psnr_edges": _psnr(error.flatten(1).gather(1, steepest).mean(1)),
        "gradient_error": gradient,
        "sharpness": ours / true.clamp(min=1e-12),
        "consistency": _psnr((again - low).square().mean((1, 2, 3))),
    }


def _differences(pictures: Tensor) -> list[tuple[Tensor, tuple[int, int, int, int]]]:
    """Differences of neighbours across and down, each with the padding back to full size."""
    across = pictures[..., 1:] - pictures[..., :-1]
    down = pictures[..., 1:, :] - pictures[..., :-1, :]
    return [(across, (0, 1, 0, 0)), (down, (0, 0, 0, 1))]


def _psnr(error: Tensor) -> Tensor:
    """Decibels of a mean squared error of pictures in [-1, 1]; at most 100."""
    return -10 * (error / 4).clamp(min=1e-10).log10()
