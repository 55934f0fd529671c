"""What the programs of a lease share: how much of everything, a folder of files, a log, a clock.

The programs run beside each other on one GPU. Each waits for the files of those before it, so that
compiling, rendering and the cascade's training fill each other's gaps.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SCENE_MODEL = Path(__file__).resolve().parents[1]
for _folder in ("scene_model", "composition", "cascade"):
    sys.path.insert(0, str(SCENE_MODEL.parent / _folder))

CONFIG = SCENE_MODEL.parents[1] / "configs" / "scenes.yaml"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of everything.

    Attributes:
        scenes: Training scenes of arm A.
        compared: Training scenes of both arms while they are compared.
        unseen: Scenes of the adherence table.
        masks: Holes in the bank.
        batch: Pictures a step of the base model.
        early: Steps after which the arms are compared; arm A goes on to become the shipped model.
        large: Scenes of the cascade's stages, 256 and 1024 px.
        stage_seconds: Training of the cascade's stages.
        stage_batch: Crops a step of the cascade.
        composed: Pictures of each main set of the composition experiment.
        workers: Processes that describe scenes.
    """

    scenes: int
    compared: int
    unseen: int
    masks: int
    batch: int
    early: int
    large: tuple[int, int]
    stage_seconds: tuple[float, float]
    stage_batch: tuple[int, int]
    composed: int
    workers: int


PLANS = {
    "tiny": Plan(
        scenes=24, compared=12, unseen=4, masks=32, batch=4, early=2, large=(4, 2),
        stage_seconds=(5, 5), stage_batch=(4, 2), composed=24, workers=0,
    ),
    "full": Plan(
        scenes=30_000, compared=18_000, unseen=256, masks=4096, batch=256, early=3000,
        large=(6000, 240), stage_seconds=(75, 60), stage_batch=(384, 192), composed=1440,
        workers=12,
    ),
}  # fmt: skip


class Desk:
    """The folder, the device and the log of one program.

    Args:
        work: Folder that all programs of the lease share.
        plan: Name of the plan.
        title: Of the program, in its log.
    """

    def __init__(self, work: Path, plan: str, title: str):
        self.work, self.plan, self.title = work, PLANS[plan], title
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        work.mkdir(parents=True, exist_ok=True)
        start = work / "began"
        if not start.exists():
            start.write_text(str(time.time()))
        self.began = float(start.read_text())

    @property
    def seconds(self) -> float:
        """Since the lease's first program began."""
        return time.time() - self.began

    def log(self, text: str) -> None:
        """One line."""
        print(f"[{self.seconds:6.1f}] {self.title}: {text}", flush=True)

    def put(self, name: str, content: Any) -> None:
        """Write a file that others wait for; they never see half of it."""
        temporary = self.work / f".{name}"
        torch.save(content, temporary)
        os.replace(temporary, self.work / name)
        self.log(f"wrote {name}")

    def get(self, name: str, patience: float = 400) -> Any:
        """Wait for a file and read it to the device. Only files of this lease are read so.

        Raises:
            SystemExit: It did not come.
        """
        end = time.monotonic() + patience
        while not (self.work / name).exists():
            if time.monotonic() > end:
                raise SystemExit(f"{self.title}: {name} did not come")
            time.sleep(0.2)
        return torch.load(self.work / name, map_location=self.device, weights_only=False)
