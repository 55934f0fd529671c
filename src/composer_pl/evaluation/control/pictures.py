"""What pictures show and what they should show: the two sides of every score."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from composer_pl.evaluation.scenes.judge import Judge, Reading, read_pictures, to_side
from composer_pl.evaluation.scenes.truth import Truth
from composer_pl.types import Batch


@dataclass(frozen=True, kw_only=True)
class SceneTruth:
    """The renderer's word on some scenes.

    Attributes:
        truth: What is in them, at 64 px.
        claimed: Which pairs of colour and shape each caption claims.
    """

    truth: Truth
    claimed: Bool[Tensor, "b 56"]

    def __getitem__(self, rows: Tensor) -> "SceneTruth":
        return SceneTruth(truth=self.truth[rows], claimed=self.claimed[rows])


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What some pictures should show.

    Attributes:
        batch: The true pictures, as extractors and as the model's side see them.
        values: The conditions that pictures are drawn from, by name.
        judged: Values by the extractor of a further judge, by its key.
        scene: What the renderer knows, where the pictures are scenes.
    """

    batch: Batch
    values: Mapping[str, Tensor]
    judged: Mapping[str, Tensor]
    scene: SceneTruth | None = None

    def __len__(self) -> int:
        return len(self.batch["index"])

    def __getitem__(self, rows: Tensor) -> "Wanted":
        batch = self.batch
        return Wanted(
            batch=Batch(
                source=batch["source"][rows],
                image=batch["image"][rows],
                caption=[batch["caption"][row] for row in rows.tolist()],
                index=batch["index"][rows],
                key=batch["key"][rows],
                identity=batch["identity"][rows],
            ),
            values={name: value[rows] for name, value in self.values.items()},
            judged={name: value[rows] for name, value in self.judged.items()},
            scene=None if self.scene is None else self.scene[rows],
        )

    def knowing(self, scene: SceneTruth) -> "Wanted":
        """The same with the renderer's word on its scenes."""
        return replace(self, scene=scene)

    def to(self, device: torch.device) -> "Wanted":
        """The same on a device."""
        batch, scene = self.batch, self.scene
        if scene is not None:
            truth = scene.truth
            moved = {field.name: getattr(truth, field.name).to(device) for field in fields(truth)}
            scene = SceneTruth(truth=Truth(**moved), claimed=scene.claimed.to(device))
        return Wanted(
            batch=Batch(
                source=batch["source"].to(device),
                image=batch["image"].to(device),
                caption=batch["caption"],
                index=batch["index"],
                key=batch["key"],
                identity=batch["identity"],
            ),
            values={name: value.to(device) for name, value in self.values.items()},
            judged={name: value.to(device) for name, value in self.judged.items()},
            scene=scene,
        )


class Shown:
    """Pictures that are scored, and what the scenes' judge reads in them, read once.

    Args:
        pictures: 8-bit RGB, as they would be saved; scored on their own device.
        judge: The scenes' judge; None where the pictures are no scenes.
    """

    def __init__(self, pictures: UInt8[Tensor, "b 3 h w"], judge: Judge | None):
        self.pictures: Float[Tensor, "b 3 h w"] = pictures.float() / 127.5 - 1
        self._judge = judge

    @cached_property
    def small(self) -> Float[Tensor, "b 3 64 64"]:
        """At the judge's side."""
        return to_side(self.pictures)

    @cached_property
    def reading(self) -> Reading:
        """What the judge reads."""
        assert self._judge is not None, "no judge for these pictures"
        return read_pictures(self._judge, self.small)


def to_bytes(pictures: Float[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """Pictures in [-1, 1] -> 8 bits, where they are."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
