"""G8: fused AdamW against the multi-tensor form, and our weight average against diffusers'.

    python benchmarks/optimizer_ema.py [--rounds 9] [--json FILE]

On the 27 M network of the other benchmarks, one thread, CPU time. Goals: fused AdamW 3.0x of
foreach; `composer_pl.systems.ema.EMA` 1.8x of diffusers' EMAModel. Equal results are asserted.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from diffusers.training_utils import EMAModel
from peer_unet import SMALL, TINY, UNet
from rounds import one_thread, parser, ratio, report, run_rounds
from torch import nn

from composer_pl.systems.ema import EMA

DECAY = 0.9999


def optimizer_step(model: nn.Module, *, fused: bool) -> Callable[[], None]:
    """One AdamW step on gradients that stay as they are."""
    for parameter, gradient in zip(model.parameters(), _gradients(model), strict=True):
        parameter.grad = gradient
    flags = {"fused": True} if fused else {"foreach": True}
    return torch.optim.AdamW(model.parameters(), lr=1e-4, **flags).step


def _gradients(model: nn.Module) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(p.shape, generator=generator).to(p.device) for p in model.parameters()]


def average_step(model: nn.Module) -> tuple[Callable[[], None], Callable[[], list[torch.Tensor]]]:
    """Our average: a function that updates it and one that reads it."""
    ema = EMA(decay=DECAY)
    ema._start(model)
    return lambda: ema.update(model), lambda: list(ema.weights().values())


def peer_average_step(model: nn.Module) -> tuple[Callable, Callable]:
    """The average of diffusers with the decay of ours at every step."""
    ema = EMAModel(model.parameters(), decay=DECAY)
    ours, count = EMA(decay=DECAY), [0]

    def decay(_: int) -> float:
        count[0] += 1
        return ours.decay_at(count[0] - 1)

    ema.get_decay = decay
    return lambda: ema.step(model.parameters()), lambda: ema.shadow_params


def assert_equal(mine: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """Largest difference of two lists of tensors; at most 1e-5."""
    error = max(float((a - b).detach().abs().max()) for a, b in zip(mine, theirs, strict=True))
    assert error <= 1e-5, error
    return error


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(rounds=9)
    given = options.parse_args()
    one_thread(given.device)
    device = "cpu" if given.dry_run else given.device
    torch.manual_seed(0)
    fused = UNet(TINY if given.dry_run else SMALL).to(device)
    foreach, moved = deepcopy(fused), deepcopy(fused)

    steps = {
        "AdamW fused": optimizer_step(fused, fused=True),
        "AdamW foreach": optimizer_step(foreach, fused=False),
    }
    for step in steps.values():
        for _ in range(5):
            step()
    notes: dict[str, object] = {
        "dry run": given.dry_run,
        "parameters": sum(p.numel() for p in fused.parameters()),
        "tensors": len(list(fused.parameters())),
        "AdamW difference after 5 steps": assert_equal(
            [*fused.parameters()], [*foreach.parameters()]
        ),
    }
    average, weights = average_step(moved)
    peer_average, peer_weights = peer_average_step(moved)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(1e-2)
    for _ in range(5):
        average()
        peer_average()
    notes["average difference after 5 steps"] = assert_equal(weights(), peer_weights())
    steps |= {"average ours": average, "average diffusers": peer_average}

    seconds = run_rounds(steps, rounds=given.rounds, device=device, repeats=10, warmup=2)
    report(
        "G8 optimiser and weight average, one step",
        seconds,
        [
            ratio(seconds, "AdamW fused", "AdamW foreach", goal=3.0),
            ratio(seconds, "average ours", "average diffusers", goal=1.8),
        ],
        device=device,
        notes=notes,
        path=given.json,
    )


if __name__ == "__main__":
    main()
