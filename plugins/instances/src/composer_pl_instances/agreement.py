"""How far two instance maps agree."""

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl_instances.codes import SEPARATION


def soft_iou(
    value: Float[Tensor, "b 5 h w"], other: Float[Tensor, "b 5 h w"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Soft intersection over union of shapes, without and with category.

    Intersection is the smaller coverage of a pixel, union the larger. With category, a pixel's
    intersection counts as far as the two codes agree: fully when equal, not at all when they are
    as far apart as those of two classes. Both are 1 where both maps are empty.

    Returns:
        `(shape, shape and category)`, one number a sample in [0, 1].
    """
    value, other = value.float(), other.float()
    shape, other_shape = value[:, 0], other[:, 0]
    smaller = torch.minimum(shape, other_shape)
    union = torch.maximum(shape, other_shape).flatten(1).sum(1)
    # Codes are weighted by coverage; undo that before comparing them.
    code = value[:, 1:4] / shape[:, None].clamp(min=1e-4)
    other_code = other[:, 1:4] / other_shape[:, None].clamp(min=1e-4)
    same = (1 - (code - other_code).norm(dim=1) / SEPARATION).clamp(min=0)
    empty = union <= 1e-6
    union = union.clamp(min=1e-6)
    shape_iou = torch.where(empty, 1.0, smaller.flatten(1).sum(1) / union)
    category_iou = torch.where(empty, 1.0, (smaller * same).flatten(1).sum(1) / union)
    return shape_iou, category_iou
