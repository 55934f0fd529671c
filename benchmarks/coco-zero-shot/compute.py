"""What the paper's training took and its evaluation takes, in FLOPs counted by `composer-pl plan`.

    python benchmarks/coco-zero-shot/compute.py

Counted are the networks of `configs/`, a multiply-add as two; batches, steps and sampling are the
paper's as far as they are known (see README.md for how sure each is). Not counted: the frozen
extractors, the optimiser, and anything that made the data.
"""

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from composer_pl.cli import main
from composer_pl.evaluation.coco.protocol import CAPTIONS
from composer_pl.evaluation.report import Table, table_markdown

CONFIGS = Path(__file__).parents[2] / "configs"
DAY = 86_400
RATES = (160.0, 395.0)
"""Sustained TFLOP/s: a fifth and a half of the 790 of dense bf16 matmul measured on one H200."""


@dataclass(frozen=True)
class Stage:
    """One network of the paper's system.

    Attributes:
        name: For people.
        config: Its file.
        batch: Samples a step.
        steps: Of training, all phases together.
        draws: Network evaluations a picture at inference, both branches of guidance counted.
        crops: How many training crops a whole picture is, for networks trained on crops.
    """

    name: str
    config: str
    batch: int
    steps: int
    draws: int
    crops: int = 1


STAGES = (
    Stage("prior", "prior.yaml", 4096, 1_000_000, 2 * 100),
    Stage("base, 64 px", "base.yaml", 1024, 1_000_000 + 200_000, 2 * 50),
    Stage("64 to 256 px", "upsample-256.yaml", 512, 1_000_000, 20, crops=16),
)


def forward_flops(stage: Stage) -> int:
    """FLOPs of one training sample's forward pass, by the planner."""
    with redirect_stdout(io.StringIO()) as told:
        assert main(["plan", "--json", "--config", str(CONFIGS / stage.config)]) == 0
    return sum(json.loads(told.getvalue())["flops_forward"].values())


def rows(stages: tuple[Stage, ...] = STAGES) -> list[list[str | float | None]]:
    """A row for each stage and one for all: samples, training, days, drawing."""
    found: list[list[str | float | None]] = []
    training_all = drawing_all = 0.0
    for stage in stages:
        flops = forward_flops(stage)
        samples = stage.batch * stage.steps
        training = 3 * flops * samples
        drawing = flops * stage.crops * stage.draws * CAPTIONS
        training_all, drawing_all = training_all + training, drawing_all + drawing
        found.append(_row(stage.name, f"{flops / 1e9:,.0f}", f"{samples:.2e}", training, drawing))
    return [*found, _row("all", "", "", training_all, drawing_all)]


def _row(
    name: str, forward: str, samples: str, training: float, drawing: float
) -> list[str | float | None]:
    slow, fast = (training / (rate * 1e12) / DAY for rate in RATES)
    hours = [drawing / (rate * 1e12) / 3600 for rate in RATES]
    return [
        name,
        forward,
        samples,
        f"{training:.1e}",
        f"{fast:,.0f} to {slow:,.0f}",
        f"{drawing:.1e}",
        f"{hours[1]:,.1f} to {hours[0]:,.1f}",
    ]


if __name__ == "__main__":
    table = Table(
        "Compute of the paper's system",
        [
            "network",
            "forward, GFLOP a sample",
            "samples trained on",
            "training, FLOP",
            f"training, days of one GPU at {RATES[1]:g} to {RATES[0]:g} TFLOP/s",
            f"drawing {CAPTIONS:,} pictures, FLOP",
            "drawing, hours",
        ],
        rows(),
    )
    print(table_markdown(table))
