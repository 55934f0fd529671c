"""The frozen extractor: pictures -> instances -> maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from composer_pl_instances.networks import load_network
from composer_pl_instances.painting import paint
from composer_pl_instances.quiet import quiet_import

_AROUND = 114 / 255  # the grey that these networks were trained with beside pictures
_CHUNK = 8  # pictures at once: more is slower on CPUs, whose caches overflow


@dataclass(frozen=True, slots=True)
class Detections:
    """Instances of one picture, surest first.

    Attributes:
        masks: True inside each instance, at the size of the picture.
        classes: Class indices.
        scores: Confidences.
        boxes: Left, upper, right, lower edge in pixels.
    """

    masks: Bool[Tensor, "n h w"]
    classes: Int[Tensor, " n"]
    scores: Float[Tensor, " n"]
    boxes: Float[Tensor, "n 4"]


class InstanceExtractor(nn.Module):
    """A YOLO segmentation network, its post-processing, and painting.

    Ultralytics supplies the network, box suppression and mask assembly; its predictors, which read
    files, call the network and time themselves out under load, are not used.

    Args:
        path: Converted safetensors.
        model: What `path` is said to be; empty for anything.
        confidence: See `Instances`.
        overlap: See `Instances`.
        max_instances: See `Instances`.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: str = "",
        confidence: float = 0.25,
        overlap: float = 0.7,
        max_instances: int = 100,
    ):
        super().__init__()
        self.network: Any
        self.network, self.names = load_network(path, model)
        self.network.to(memory_format=torch.channels_last)  # a tenth faster on CPUs
        self._multiple = int(max(self.network.stride))
        self.confidence = confidence
        self.overlap = overlap
        self.max_instances = max_instances
        self._suppress = quiet_import("ultralytics.utils.nms").TorchNMS.nms
        self._assemble = quiet_import("ultralytics.utils.ops").process_mask

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 5 h w"]:
        """Pictures in [-1, 1] -> instance maps of the same size."""
        maps = [paint(found.masks, found.classes, found.scores) for found in self.detect(image)]
        return torch.stack(maps)

    @torch.no_grad()
    def detect(self, image: Float[Tensor, "b 3 h w"]) -> list[Detections]:
        """Find the instances of pictures in [-1, 1].

        Pictures whose sides are no multiples of the network's stride (32) get grey on the right and
        below while the network looks at them.
        """
        chunks = image.split(_CHUNK)
        return [found for chunk in chunks for found in self._detect(chunk)]

    def _detect(self, image: Float[Tensor, "b 3 h w"]) -> list[Detections]:
        height, width = image.shape[-2:]
        weight = next(self.network.parameters())
        picture = ((image + 1) / 2).to(weight)
        beside = (0, -width % self._multiple, 0, -height % self._multiple)
        picture = pad(picture, beside, value=_AROUND).contiguous(memory_format=torch.channels_last)
        size = (picture.shape[-2], picture.shape[-1])
        (rows, prototypes), _ = self.network(picture)
        # End-to-end heads (YOLO26) answer (b, n, 6 + m), the others (b, 4 + classes + m, n).
        end_to_end = bool(getattr(self.network.model[-1], "end2end", False))
        found = []
        for row, prototype in zip(rows.float(), prototypes, strict=True):
            kept = self._select_end_to_end(row) if end_to_end else self._select(row)
            boxes, scores, classes, coefficients = kept
            masks = self._assemble(prototype, coefficients, boxes, size, upsample=True).bool()
            masks = masks[:, :height, :width]
            seen = masks.flatten(1).any(1)  # a box can hold no pixel of its own mask
            found.append(Detections(masks[seen], classes[seen], scores[seen], boxes[seen]))
        return found

    def _select(self, row: Float[Tensor, "f n"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes, scores, classes and mask coefficients after suppression within each class."""
        count = len(self.names)
        scores, classes = row[4 : 4 + count].max(0)
        sure = scores > self.confidence
        row, scores, classes = row[:, sure].T, scores[sure], classes[sure]
        centre, extent = row[:, :2], row[:, 2:4]
        boxes = torch.cat([centre - extent / 2, centre + extent / 2], 1)
        # Far apart by class, so that boxes of different classes never suppress each other.
        apart = boxes + classes[:, None] * 2 * (boxes.abs().max() + 1 if len(boxes) else 1)
        kept = self._suppress(apart, scores, self.overlap)[: self.max_instances]
        return boxes[kept], scores[kept], classes[kept], row[kept, 4 + count :]

    def _select_end_to_end(
        self, row: Float[Tensor, "n f"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes, scores, classes and mask coefficients of a head that suppresses by itself."""
        row = row[row[:, 4] > self.confidence]
        row = row[row[:, 4].argsort(descending=True, stable=True)][: self.max_instances]
        return row[:, :4], row[:, 4], row[:, 5].long(), row[:, 6:]
