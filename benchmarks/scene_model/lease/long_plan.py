"""How much of everything the lease of one long training does, what is focused, shared files."""

from collections.abc import Mapping
from dataclasses import dataclass

from pace import Way

ENOUGH = "enough"
"""Written by the trainer once it is ready: no further file of scenes is begun."""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Of one plan.

    Attributes:
        chunk: Scenes in a file.
        chunks: Most files.
        least_chunks: That many are made however long it takes.
        render_seconds: After that time of the lease no further file is begun.
        ways: Of making steps; those that need a GPU are passed over where there is none.
        clock_steps: Steps by which a way is clocked.
        clock_seconds: No other way is clocked after them.
        steps: Most steps of the long training.
        spare: Seconds for what comes after the trainings: writing and packing.
    """

    chunk: int
    chunks: int
    least_chunks: int
    render_seconds: float
    ways: tuple[Way, ...]
    clock_steps: int
    clock_seconds: float
    steps: int
    spare: float


AMOUNTS = {
    "tiny": Amounts(
        chunk=6, chunks=4, least_chunks=2, render_seconds=0.0,
        ways=(Way(batch=2, graphed=True), Way(batch=2), Way(batch=4)),
        clock_steps=1, clock_seconds=30, steps=4, spare=0.0,
    ),
    # Scenes: 104 kB each with their values, so memory would hold 500,000; what bounds them is that
    # they are rendered while the network is compiled, 600 to 1,600 a second by the CPUs' load.
    # Ways: compiling takes 100 seconds for each batch, so one batch is compiled. Compiled batches
    # of 512 made 7,458 pictures a second, worth less than 5,300 in batches of 256 (`pace.worth`).
    "full": Amounts(
        chunk=6000, chunks=12, least_chunks=4, render_seconds=85.0,
        ways=(
            Way(batch=256, compiled=True, graphed=True), Way(batch=256, graphed=True),
            Way(batch=256, compiled=True), Way(batch=512, graphed=True), Way(batch=512),
        ),
        clock_steps=20, clock_seconds=12, steps=10**6, spare=10.0,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Course:
    """What of a training is focused.

    Attributes:
        begins: Where the focused part begins; the learning rate falls from 0.7 on.
        focus: Shares of the samples that keep one condition alone in it.
        lr: The learning rate.
        share: Of the seconds, for baselines.
    """

    begins: float
    focus: Mapping[str, float]
    lr: float
    share: float


LONG = Course(
    begins=0.6,
    focus={  # the four that were below their bars, and two that stood just above
        "caption": 0.13, "semantics": 0.14, "instances": 0.09, "color": 0.10, "sketch": 0.04,
        "intensity": 0.04,
    },
    lr=6e-4,
    share=0.14,
)  # fmt: skip

POLISH = Course(
    begins=0.01,
    focus={
        "caption": 0.08, "semantics": 0.28, "instances": 0.03, "color": 0.16, "sketch": 0.02,
        "intensity": 0.03,
    },
    lr=4e-4,
    share=0.0,
)  # fmt: skip

TAUGHT = Course(
    begins=0.2,
    focus={  # semantics are new to the model, the others are to stay above their bars
        "caption": 0.09, "semantics": 0.24, "color": 0.12, "instances": 0.04, "sketch": 0.02,
        "intensity": 0.03, "depth": 0.01,
    },
    lr=6e-4,
    share=0.0,
)  # fmt: skip
"""After the image tower was taught more: the usual rule for a fifth, then the focused one."""

NOISY = (0.4, 0.4)
"""In the focused part, see `settings.Settings.noisy`."""


def bank_name(number: int) -> str:
    """File of a part of the scenes."""
    return f"bank-{number:02d}.pt"


def done_name(part: int) -> str:
    """File that says that a program has made its last part of the scenes."""
    return f"done-{part}.pt"
