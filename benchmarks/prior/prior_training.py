"""Train the prior of procedural scenes, and write it as a model folder.

    python benchmarks/prior/prior_training.py --out DIR [--first 18000] [--scenes 6000]
        [--steps 1500] [--bank FILE ...]

Scenes are rendered and extracted first (15 a second on one core), or read from banks that hold the
same scenes. The last 500 are kept for validation.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from prior_data import MODEL, Embeddings, extract, read_banks
from torch import Tensor

from composer_pl.backbones.prior_transformer import PriorConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.prior import PriorModel
from composer_pl.models.storage import load_model, save_model

SIZE = PriorConfig(width=128, layers=4, head_dim=32)
PROCESS = ProcessConfig(schedule="cosine", prediction="x_0")
DROP, RATE, WARMUP, WEIGHT_DECAY, AVERAGE = 0.1, 1e-3, 100, 0.06, 0.998
VALIDATION = 500
DRAWS = 6
"""Timesteps and noises a caption and step: its words are read once for all of them."""
BUCKETS = 8
"""Batches that are sorted by the length of their captions together: few rows are padding then."""


def fresh_prior(size: PriorConfig = SIZE) -> PriorModel:
    """A prior of the scene model's conditions, untrained."""
    known = load_model(MODEL).plugins
    return PriorModel(size, PROCESS, {name: known[name] for name in ("caption", "semantics")})


def train_prior(
    model: PriorModel,
    data: Embeddings,
    held_out: Embeddings,
    *,
    steps: int,
    batch: int = 64,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train in place; the model ends with the averaged weights.

    Args:
        model: Untrained.
        data: What to learn, on the model's device.
        held_out: What to report the loss on.
        steps: Optimiser steps.
        batch: Captions a step.
        seed: Of the order, timesteps, noise and dropping.
        log: Told the progress about twenty times.
    """
    torch.manual_seed(seed)
    generator = torch.Generator(model_device(model)).manual_seed(seed)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=RATE, betas=(0.9, 0.96), eps=1e-6, weight_decay=WEIGHT_DECAY
    )
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses, curve, waiting = [], [], []
    began, every = time.monotonic(), max(steps // 20, 1)
    warmup = max(min(WARMUP, steps // 10), 1)
    model.train()
    for step in range(steps):
        share = max(0.0, (step - warmup) / max(steps - warmup, 1))
        rate = RATE * min((step + 1) / warmup, 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        if not waiting:
            waiting = batches(data, batch, generator)
        losses.append(float(_step(model, waiting.pop(), generator, optimizer)))
        decay = min(AVERAGE, (1 + step) / (10 + step))
        for name, p in model.named_parameters():
            average[name].lerp_(p.detach(), 1 - decay)
        if (step + 1) % every == 0:
            recent = round(sum(losses[-every:]) / every, 4)
            unseen = evaluate(model, average, held_out)
            curve.append({"step": step + 1, "loss": recent, "held_out": unseen})
            log(f"{curve[-1]} {time.monotonic() - began:.0f} s")
    model.load_state_dict({**model.state_dict(), **average})
    model.eval()
    seconds = round(time.monotonic() - began)
    return {"steps": steps, "batch": batch, "draws": DRAWS, "seconds": seconds, "curve": curve}


def batches(data: Embeddings, batch: int, generator: torch.Generator) -> list[dict[str, Tensor]]:
    """Some batches at once, each of captions of about one length, in random order."""
    values = data.draw(BUCKETS * batch, generator)
    length = (values["caption"][:, 1:] != 0).any(2).sum(1)
    parts = length.argsort().split(batch)
    order = torch.randperm(len(parts), generator=generator, device=generator.device).tolist()
    return [{name: value[parts[i]] for name, value in values.items()} for i in order]


def _step(
    model: PriorModel,
    values: dict[str, Tensor],
    generator: torch.Generator,
    optimizer: torch.optim.Optimizer,
) -> Tensor:
    count, device = len(values["semantics"]), generator.device
    keep = torch.rand(1, count, generator=generator, device=device) >= DROP
    steps = model.process.schedule.num_timesteps
    # One timestep of each of `DRAWS` equal parts of the schedule: less chance than free draws.
    part = torch.arange(DRAWS, device=device).repeat_interleave(count)
    place = torch.rand(len(part), generator=generator, device=device)
    t = ((part + place) / DRAWS * steps).long()
    eps = torch.randn(len(part), model.width, generator=generator, device=device)
    loss = model.loss(values, keep, t.clamp(max=steps - 1), eps).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def evaluate(model: PriorModel, average: dict[str, Tensor], held_out: Embeddings) -> float:
    """Mean loss of the averaged weights over held-out scenes, always at the same noise."""
    raw = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.load_state_dict({**model.state_dict(), **average})
    device = model_device(model)
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(len(held_out), device=device)
    t = torch.randint(1000, (len(rows),), generator=generator).to(device)
    eps = torch.randn(len(rows), model.width, generator=generator).to(device)
    loss = model.loss(held_out.of(rows), model.keep(["caption"], len(rows)).to(device), t, eps)
    model.load_state_dict({**model.state_dict(), **raw})
    return round(float(loss.mean()), 4)


def model_device(model: PriorModel) -> torch.device:
    """Where its parameters are."""
    return next(model.parameters()).device


def split(data: Embeddings, count: int = VALIDATION) -> tuple[Embeddings, Embeddings]:
    """All but the last `count` scenes, and those."""
    cut = len(data) - count
    return (
        Embeddings(
            caption=data.caption[: cut * data.texts],
            semantics=data.semantics[:cut],
            texts=data.texts,
        ),
        Embeddings(
            caption=data.caption[cut * data.texts :],
            semantics=data.semantics[cut:],
            texts=data.texts,
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=18_000)
    parser.add_argument("--scenes", type=int, default=6_000)
    parser.add_argument("--bank", type=Path, action="append", default=[])
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = fresh_prior()
    if args.bank:
        data = read_banks(args.bank)
    else:
        data = extract(range(args.first, args.first + args.scenes))
    seen, held_out = split(data)
    facts = train_prior(
        model,
        seen,
        held_out,
        steps=args.steps,
        batch=args.batch,
        seed=args.seed,
    )
    save_model(model, args.out, weights={n: t.half() for n, t in model.state_dict().items()})
    (args.out / "training.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
