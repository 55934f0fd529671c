"""G3: guided DDIM sampling against diffusers' U-Net with its DDIMScheduler.

    python benchmarks/sampling_speed.py [--steps 4] [--rounds 5] [--json FILE]
    python benchmarks/sampling_speed.py --device cuda [--batch 1 32] [--json FILE]

Both run the two branches of guidance in one call. On the CPU: 27 M parameters, batch 1, one thread,
CPU time; float32 (G3a: 1.03x) and the default settings, bf16 autocast where the processor has it
(1.35x of diffusers in float32). On a GPU: the 2.1 B base model in bf16, compiled with CUDA graphs
against diffusers eager, batch 1 (G3b: 2.0x) and 32 (1.3x). In float32 the pictures are equal, which
is asserted.
"""

import argparse
from collections.abc import Callable

import torch
from diffusers import DDIMScheduler
from peer_unet import (
    BASE,
    SMALL,
    TINY,
    UNet,
    UNetConfig,
    assert_same_work,
    build_peer,
    copy_weights,
    inputs,
    run_peer,
)
from rounds import cpu_has_bf16, one_thread, parser, ratio, report, run_rounds
from torch import Tensor, nn

from composer_pl.diffusion.guidance import guided
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.diffusion.samplers import ddim
from composer_pl.types import ConditionSignals

WEIGHT = 3.0


def sample_ours(
    model: nn.Module, process: GaussianDiffusion, arguments: tuple, timesteps: list[int]
) -> Tensor:
    """Our guided DDIM; the second branch sees tokens of zeros, as the rival's does."""
    x_T, _, context, hint = arguments
    present = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    given = ConditionSignals(context=context, context_mask=present, hint=hint)
    null = ConditionSignals(
        context=torch.zeros_like(context), context_mask=present, hint=_zeros(hint)
    )
    denoise = guided(model, given, null, WEIGHT, process, clip_x_0=False)
    return ddim(denoise, x_T, process.schedule, steps=len(timesteps), timesteps=timesteps)


@torch.no_grad()
def sample_peer(model: nn.Module, scheduler: DDIMScheduler, arguments: tuple) -> Tensor:
    """The loop that diffusers' pipelines run."""
    x, _, context, hint = (a if a is None else a.to(model.dtype) for a in arguments)
    context = torch.cat([torch.zeros_like(context), context])
    hint = None if hint is None else torch.cat([torch.zeros_like(hint), hint])
    for t in scheduler.timesteps:
        eps = run_peer(model, torch.cat([x, x]), t, context, hint)[:, : x.shape[1]]
        null, given = eps.chunk(2)
        x = scheduler.step(null + WEIGHT * (given - null), t, x).prev_sample
    return x


def _zeros(hint: Tensor | None) -> Tensor | None:
    return None if hint is None else torch.zeros_like(hint)


def compare(
    options: argparse.Namespace, config: UNetConfig, *, tokens: int, batch: int, device: str
) -> None:
    """One table, for one batch size."""
    work = assert_same_work(config, tokens=tokens)
    torch.manual_seed(0)
    with torch.device(device):
        ours, peer = UNet(config).eval(), build_peer(config).eval()
    copy_weights(peer, ours)
    variance = "learned_range" if config.out_channels == 6 else "fixed"
    process = GaussianDiffusion(ProcessConfig(variance=variance))
    betas = process.schedule.betas.cpu().numpy()
    scheduler = DDIMScheduler(trained_betas=betas, clip_sample=False)
    arguments = inputs(config, batch, tokens=tokens, device=device)

    def run_ours() -> Tensor:
        return sample_ours(ours, process, arguments, scheduler.timesteps.tolist())

    def run_theirs() -> Tensor:
        return sample_peer(peer, scheduler, arguments)

    scheduler.set_timesteps(2, device=device)
    mine, theirs = run_ours(), run_theirs()
    error = float((mine - theirs).abs().max() / theirs.abs().max())
    assert error < (1e-3 if device == "cpu" else 5e-2), f"pictures differ by {error:.2g}"  # tf32
    scheduler.set_timesteps(options.steps, device=device)

    def contestant(run: Callable[[], Tensor], *, bf16: bool) -> Callable[[], Tensor]:
        def call() -> Tensor:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                return run()

        return call

    goals = {"cpu": (1.03, 1.35), "cuda": (None, 2.0 if batch == 1 else 1.3)}[options.device]
    contestants: dict[str, Callable] = {}
    if options.device == "cpu":
        contestants["ours fp32"] = contestant(run_ours, bf16=False)
        contestants["diffusers fp32"] = contestant(run_theirs, bf16=False)
        if options.dry_run or cpu_has_bf16():
            contestants["ours bf16"] = contestant(run_ours, bf16=True)
            contestants["diffusers bf16"] = contestant(run_theirs, bf16=True)
    else:  # no master weights in sampling: both networks are bf16 throughout
        ours.to(torch.bfloat16, memory_format=torch.channels_last)
        peer.to(torch.bfloat16)
        if options.dry_run:
            ours.compile(backend="eager")
        else:
            ours.compile(mode="reduce-overhead" if batch == 1 else "default")
        contestants["ours compiled bf16"] = contestant(run_ours, bf16=False)
        contestants["diffusers bf16"] = contestant(run_theirs, bf16=False)
    seconds = run_rounds(contestants, rounds=options.rounds, device=device, warmup=2)

    ratios = []
    if "ours fp32" in seconds:
        ratios.append(ratio(seconds, "ours fp32", "diffusers fp32", goal=goals[0]))
    if "ours bf16" in seconds:
        ratios.append(ratio(seconds, "ours bf16", "diffusers fp32", goal=goals[1]))
        ratios.append(ratio(seconds, "ours bf16", "diffusers bf16"))
    if "ours compiled bf16" in seconds:
        ratios.append(ratio(seconds, "ours compiled bf16", "diffusers bf16", goal=goals[1]))
    report(
        f"G3 guided DDIM, {options.steps} steps, batch {batch}",
        seconds,
        ratios,
        device=device,
        notes={
            "dry run": options.dry_run,
            **work,
            "picture difference in fp32": f"{error:.1e}",
            "rounds": options.rounds,
        },
        path=options.json,
    )
    torch.compiler.reset()


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--steps", type=int, help="default 4 on the CPU, 50 on a GPU")
    options.add_argument("--batch", type=int, nargs="+", help="default 1; on a GPU 1 and 32")
    given = options.parse_args()
    given.steps = given.steps or (2 if given.dry_run else 4 if given.device == "cpu" else 50)
    one_thread(given.device)
    on_gpu = given.device == "cuda"
    device = "cpu" if given.dry_run else given.device
    config, tokens = (BASE, 85) if on_gpu else (SMALL, 77)
    if given.dry_run:
        config, tokens = TINY, 7
    for batch in given.batch or ([1, 32] if on_gpu and not given.dry_run else [1]):
        compare(given, config, tokens=tokens, batch=batch, device=device)


if __name__ == "__main__":
    main()
