"""Ultralytics' segmentation loss for padded batches, without its loop over pictures.

The same numbers, which a test holds against the library's own: only the two steps are replaced
that visit every picture by itself and wait for the device each time. At a batch of 128 those would
take most of a training step.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from composer_pl_instances.quiet import quiet_import

_GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}  # the library's defaults
_CANDIDATES = 10  # anchors that one object may claim, as in the library


def plain_loss(network: Any) -> Any:
    """The library's own loss of a version 8 segmentation network, which `network.loss` calls."""
    network.args = SimpleNamespace(**_GAINS, overlap_mask=True, mask_ratio=2)
    return quiet_import("ultralytics.utils.loss").v8SegmentationLoss(network, _CANDIDATES)


def padded_loss(network: Any, slots: int) -> Any:
    """The same for batches in which every picture has `slots` rows in a row.

    The batch that `network.loss` takes: `img`; `batch_idx`, `cls` and `bboxes` with `slots` rows a
    picture, boxes of size 0 where there is no object; `masks`, (b, h, w), slot + 1 where an object
    is seen.
    """
    criterion = plain_loss(network)
    corners = quiet_import("ultralytics.utils.ops").xywh2xyxy

    def preprocess(rows: Tensor, batch_size: int, scale_tensor: Tensor) -> Tensor:
        padded = rows.view(batch_size, slots, -1)[..., 1:]
        return torch.cat([padded[..., :1], corners(padded[..., 1:5] * scale_tensor)], 2)

    def masks_loss(
        fg_mask: Tensor,
        masks: Tensor,
        target_gt_idx: Tensor,
        target_bboxes: Tensor,
        _batch_idx: Tensor,
        proto: Tensor,
        pred_masks: Tensor,
        imgsz: Tensor,
    ) -> Tensor:
        # At most so many anchors of a picture are positive; the rest of the places weigh nothing.
        places = min(slots * _CANDIDATES, fg_mask.shape[1])
        weight, where = fg_mask.float().topk(places, dim=1)
        boxes = _at(target_bboxes, where) / imgsz[[1, 0, 1, 0]]
        area = (boxes[..., 2:] - boxes[..., :2]).prod(2)
        logits = torch.einsum("bkn,bnhw->bkhw", _at(pred_masks, where), proto)
        truth = masks[:, None] == (target_gt_idx.gather(1, where) + 1)[..., None, None]
        wrong = binary_cross_entropy_with_logits(logits, truth.float(), reduction="none")
        wrong = (wrong * _inside(boxes, proto.shape[-2:])).mean((2, 3))
        wrong = weight * wrong / torch.where(weight > 0, area, 1.0)
        return wrong.sum() / fg_mask.sum()

    criterion.preprocess = preprocess
    criterion.calculate_segmentation_loss = masks_loss
    return criterion


def _at(values: Tensor, where: Tensor) -> Tensor:
    """Rows `where` (b, k) of values (b, n, c)."""
    return values.gather(1, where[..., None].expand(-1, -1, values.shape[2]))


def _inside(boxes: Tensor, size: torch.Size) -> Tensor:
    """1 for pixels inside boxes (b, k, 4), which are shares of the picture, as `crop_mask` does."""
    height, width = size
    x = torch.arange(width, device=boxes.device)
    y = torch.arange(height, device=boxes.device)
    left, top, right, bottom = (boxes[..., i, None] for i in range(4))
    columns = (x >= left * width) & (x < right * width)
    rows = (y >= top * height) & (y < bottom * height)
    return (rows[..., :, None] & columns[..., None, :]).float()
