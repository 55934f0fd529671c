"""The condition `instances`: which things a picture shows, where, and of what category."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConfigError,
    Extractor,
    HintEncoder,
    RepresentationSpec,
    WeightSpec,
    resolve_weights,
)
from composer_pl_instances.agreement import soft_iou
from composer_pl_instances.codes import CHANNELS
from composer_pl_instances.extractor import InstanceExtractor
from composer_pl_instances.networks import CANVAS, CANVASES, CHECKPOINTS
from composer_pl_instances.reading import read_label_map


class Instances(ConditionPlugin):
    """Instance map, `(5, H, W)` in [0, 1] (paper section 2.1, "instances").

    | channel | meaning |
    |---|---|
    | 0 | shape: 1 inside any instance |
    | 1-3 | category: the code of the topmost instance's class (see `codes`), 0 outside |
    | 4 | boundary: 1 on the line between two touching instances, one pixel wide at the canvas |

    Where instances overlap, **the smaller lies on top of the larger** (by area; of two equal ones
    the surer detection lies on top): a person is seen in front of the bus, a cup on the table.
    Maps are made at the canvas and brought to H x W by area averaging, so edges are soft and
    category codes are weighted by coverage.

    Differs from the paper: YOLO26, YOLO11 or YOLOv8 instead of YOLOv5, whose segmentation weights
    current ultralytics does not load; and the paper does not state its encoding, its figures show
    shapes only.

    Args:
        model: Which network to use: a published one, trained on photos of COCO's 80 classes, or
            `tiny-scenes`, trained on this library's procedural scenes and shipped with the package.
        weights_file: A file to use instead of the cached one: a `.pt` of ultralytics with any
            classes (converted once, nothing in it is executed), or the converted `.safetensors`.
            It is read by its own description; only the tiny network of scenes must be named.
        canvas: Side of the picture that the network sees, a multiple of 32; None for the side that
            `model` is trained at, 640, or 256 for `tiny-scenes`. Published networks are four times
            as fast at 320 and miss small things.
        confidence: Least score of a detection.
        overlap: Boxes of one class that overlap more than this (intersection over union) are one
            detection. Not used by YOLO26, which does without.
        max_instances: The surest ones are kept.
        drop_prob: Probability of dropping the condition.
    """

    scope = "local"
    resample = "area"
    weights = tuple(CHECKPOINTS.values())

    def __init__(
        self,
        *,
        model: Literal["yolo26n-seg", "yolo11n-seg", "yolov8n-seg", "tiny-scenes"] = "yolo26n-seg",
        weights_file: str | None = None,
        canvas: int | None = None,
        confidence: float = 0.25,
        overlap: float = 0.7,
        max_instances: int = 100,
        drop_prob: float = 0.5,
    ):
        self.model = model
        self.weights_file = weights_file
        # The number, not None: models and caches record it, as they did before there was None.
        self.canvas = CANVASES.get(model, CANVAS) if canvas is None else canvas
        self.confidence = confidence
        self.overlap = overlap
        self.max_instances = max_instances
        self.drop_prob = drop_prob

    @property
    def spec(self) -> RepresentationSpec:
        """Shape, three category channels and boundary, all in [0, 1]."""
        return RepresentationSpec(shape=(CHANNELS, "H", "W"), value_range=(0.0, 1.0))

    def weights_in_use(self) -> tuple[WeightSpec, ...]:
        """The checkpoint named by `model`; none when `weights_file` names a file."""
        return () if self.weights_file else (self._checkpoint(),)

    @classmethod
    def convert_weights(cls, spec: WeightSpec, source: Path, target: Path) -> None:
        """Convert a `.pt` to safetensors without executing anything in it."""
        from composer_pl_instances.convert import convert

        convert(source, target)

    def build_extractor(self) -> Extractor:
        """Build the frozen network; converts a `.pt` first if that was not done before.

        Raises:
            ConfigError: An argument is out of range, or a file of the tiny network goes by another
                name, or the reverse.
            MissingWeightsError: The weights are absent or not the expected file.
            MissingDependencyError: ultralytics cannot be imported.
            UserInputError: The weights are no YOLO segmentation network, or hold foreign code.
        """
        self._check()
        spec = self._checkpoint()
        if self.weights_file:  # any file that the user names is welcome, so no digest is expected
            spec = replace(spec, sha256="", size=0, converted=spec.converted or spec.name)
        path = resolve_weights(
            spec, condition="instances", path=self.weights_file, convert=self.convert_weights
        )
        return InstanceExtractor(
            path,
            model=self.model,
            confidence=self.confidence,
            overlap=self.overlap,
            max_instances=self.max_instances,
        )

    def build_encoder(self, dims: BackboneDims) -> HintEncoder:
        """Stacked convolutions to the hint."""
        return HintEncoder(CHANNELS, dims)

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """1 minus the mean of two soft intersections over union: shape, and shape with category.

        0 for equal values, 0.5 for right shapes of wrong categories, 1 for disjoint shapes; two
        empty maps are equal.
        """
        shape, category = soft_iou(value, other)
        return 1 - (shape + category) / 2

    def read(self, source: str | Path) -> Float[Tensor, "5 h w"]:
        """Read a label map: an indexed or grey PNG of class ids, or a black and white shape.

        Raises:
            UserInputError: The file is no such picture, or a JPEG.
        """
        return read_label_map(source)

    def visualize(self, value: Tensor) -> Float[Tensor, "b 3 h w"]:
        """Shapes in the colour of their category on black, boundaries white."""
        value = value.float().clamp(0, 1)
        shape, code, boundary = value[:, :1], value[:, 1:4], value[:, 4:]
        return torch.maximum(0.3 * shape + 0.7 * code, boundary).clamp(0, 1)

    def _checkpoint(self) -> WeightSpec:
        try:
            return CHECKPOINTS[self.model]
        except KeyError:
            raise ConfigError(
                f"Setting up the condition 'instances': model must be one of "
                f"{', '.join(CHECKPOINTS)}, found {self.model!r}. Next: correct it, or name a file "
                f"with weights_file."
            ) from None

    def _check(self) -> None:
        canvas = self.canvas or 0
        legal = {
            "canvas, a positive multiple of 32": canvas > 0 and canvas % 32 == 0,
            "confidence, in [0, 1]": 0 <= self.confidence <= 1,
            "overlap, in [0, 1]": 0 <= self.overlap <= 1,
            "max_instances, at least 1": self.max_instances >= 1,
        }
        for rule, holds in legal.items():
            if not holds:
                name = rule.split(",")[0]
                raise ConfigError(
                    f"Setting up the condition 'instances': expected {rule}, found "
                    f"{getattr(self, name)}. Next: correct {name}."
                )
