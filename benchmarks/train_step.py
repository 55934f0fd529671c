"""G1 and G2: a training step against diffusers' U-Net in the block types of Karlo.

    python benchmarks/train_step.py [--batch 4] [--rounds 5] [--json FILE]
    python benchmarks/train_step.py --device cuda [--batch 32] [--json FILE]

A step is forward, mean squared error, backward, fused AdamW. On the CPU: 27 M parameters, 64 px, 77
context tokens, one thread, CPU time; float32 (G1a: 1.05x, at least 0.97x) and the default settings,
bf16 autocast where the processor has it (G1b: 1.40x of diffusers in float32, 1.00x of diffusers in
bf16). On a GPU: the 2.1 B base model in bf16, wall clock; our network compiled and channels-last
against diffusers eager (G2a: 1.3x) and compiled (G2b: 1.05x), and the share of the matmul rate
measured in the same run (G2c: 50 %). Both networks compute the same function: equal parameters,
FLOPs and, with equal weights, outputs are asserted.
"""

import argparse
import gc
import time
from collections.abc import Callable
from statistics import median

import torch
from peer_unet import (
    BASE,
    SMALL,
    TINY,
    UNet,
    UNetConfig,
    assert_same_output,
    assert_same_work,
    build_peer,
    copy_weights,
    inputs,
    run_ours,
    run_peer,
)
from rounds import cpu_has_bf16, one_thread, parser, ratio, report, run_rounds
from torch import nn


def train_step(
    forward: Callable, model: nn.Module, arguments: tuple, *, device: str, bf16: bool
) -> Callable[[], None]:
    """A function that trains `model` by one step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    target = torch.randn_like(arguments[0])

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            output = forward(model, *arguments)
        loss = (output[:, : target.shape[1]].float() - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def pair(config: UNetConfig, device: str) -> tuple[UNet, nn.Module]:
    """Our network and the rival with equal weights."""
    torch.manual_seed(0)
    with torch.device(device):
        ours, peer = UNet(config), build_peer(config)
    copy_weights(peer, ours)
    return ours, peer


def on_cpu(options: argparse.Namespace) -> None:
    """G1."""
    config, tokens = (TINY, 7) if options.dry_run else (SMALL, 77)
    batch = options.batch or (2 if options.dry_run else 4)
    work = assert_same_work(config, tokens=tokens)
    arguments = inputs(config, batch, tokens=tokens)
    contestants = {}
    for bf16 in (False, True) if cpu_has_bf16() or options.dry_run else (False,):
        ours, peer = pair(config, "cpu")
        error = assert_same_output(ours, peer, arguments)
        precision = "bf16" if bf16 else "fp32"
        for name, forward, model in (("ours", run_ours, ours), ("diffusers", run_peer, peer)):
            contestants[f"{name} {precision}"] = train_step(
                forward, model, arguments, device="cpu", bf16=bf16
            )
    seconds = run_rounds(contestants, rounds=options.rounds)
    ratios = [ratio(seconds, "ours fp32", "diffusers fp32", goal=1.05)]
    if "ours bf16" in contestants:
        ratios.append(ratio(seconds, "ours bf16", "diffusers fp32", goal=1.40))
        ratios.append(ratio(seconds, "ours bf16", "diffusers bf16", goal=1.00))
    report(
        f"G1 training step, batch {batch}, one thread, CPU seconds",
        seconds,
        ratios,
        device="cpu",
        notes={
            "dry run": options.dry_run,
            **work,
            "output difference": f"{error:.1e}",
            "rounds": options.rounds,
        },
        path=options.json,
    )


def matmul_rate(device: str, side: int) -> float:
    """FLOP/s of a dense bf16 product of two square matrices, the best of ten."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = run_rounds({"matmul": lambda: a @ b}, rounds=10, device=device, repeats=10, warmup=5)
    return 2 * side**3 / min(seconds["matmul"])


def on_gpu(options: argparse.Namespace) -> None:
    """G2; with --dry-run the same path on the CPU at a tiny size."""
    device = "cpu" if options.dry_run else "cuda"
    config, tokens, batch = (TINY, 7, 2) if options.dry_run else (BASE, 85, options.batch or 32)
    if options.channels and not options.dry_run:
        config = UNetConfig(channels=options.channels, dropout=0.0)
    work = assert_same_work(config, tokens=tokens)
    rate = matmul_rate(device, 256 if options.dry_run else 8192)
    for ours_mode, peer_mode, goal in options.modes:
        arguments = inputs(config, batch, tokens=tokens, device=device)
        ours, peer = pair(config, device)
        with torch.autocast(device, torch.bfloat16):
            error = assert_same_output(ours, peer, arguments, tolerance=0.05)
        contestants, setup = {}, {}
        for name, forward, model, mode in (
            ("ours", run_ours, ours, ours_mode),
            ("diffusers", run_peer, peer, peer_mode),
        ):
            if mode == "compiled":
                model.to(memory_format=torch.channels_last)
                model.compile(backend="eager" if options.dry_run else "inductor")
            step = train_step(forward, model, arguments, device=device, bf16=True)
            start = time.perf_counter()
            step()
            setup[f"{name} {mode}, first step"] = f"{time.perf_counter() - start:.0f} s"
            contestants[f"{name} {mode}"] = step
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = run_rounds(
            contestants,
            rounds=options.rounds,
            device=device,
            repeats=1 if options.dry_run else 20,
            warmup=1 if options.dry_run else 3,
        )
        first, second = contestants
        used = {
            f"{name}, share of matmul": f"{3 * batch * work['flops'] / median(times) / rate:.1%}"
            for name, times in seconds.items()
        }
        speed = {
            f"{name}, images/s": f"{batch / median(times):.1f}" for name, times in seconds.items()
        }
        peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0
        report(
            f"G2 training step, batch {batch}, bf16, wall seconds",
            seconds,
            [ratio(seconds, first, second, goal=goal)],
            device=device,
            notes={
                "dry run": options.dry_run,
                **work,
                "output difference in bf16": f"{error:.1e}",
                "matmul": f"{rate / 1e12:.1f} TFLOP/s",
                **setup,
                **speed,
                **used,
                "peak memory of both": f"{peak:.1f} GB",
            },
            path=options.json,
        )
        del contestants, step, ours, peer, model
        torch.compiler.reset()
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()


PASSES = {
    "eager": ("eager", "eager", None),
    "G2a": ("compiled", "eager", 1.30),
    "G2b": ("compiled", "compiled", 1.05),
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--batch", type=int, help="default 4 on the CPU, 32 on a GPU")
    options.add_argument("--channels", type=int, help="another width than 512 on a GPU")
    options.add_argument("--passes", nargs="+", choices=PASSES, default=list(PASSES))
    given = options.parse_args()
    given.modes = [PASSES[name] for name in given.passes]
    one_thread(given.device)
    (on_cpu if given.device == "cpu" else on_gpu)(given)


if __name__ == "__main__":
    main()
