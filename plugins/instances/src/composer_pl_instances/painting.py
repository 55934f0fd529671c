"""From instances to the map that is the condition's value."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer_pl_instances.codes import category_code


def paint(
    masks: Bool[Tensor, "n h w"], classes: Int[Tensor, " n"], scores: Float[Tensor, " n"]
) -> Float[Tensor, "5 h w"]:
    """Paint instances, smaller ones over larger ones.

    Args:
        masks: True inside each instance.
        classes: Class indices, counted from 0.
        scores: Confidences; of instances of one area the surer lies on top.

    Returns:
        Shape, category code and boundary, see `Instances`.
    """
    count = len(masks)
    if count == 0:
        return torch.zeros(5, *masks.shape[1:], device=masks.device)
    area = masks.flatten(1).sum(1)
    by_score = torch.argsort(scores, stable=True)
    # Bottom first: by falling area, then by rising score (both sorts are stable).
    order = by_score[torch.argsort(area[by_score], descending=True, stable=True)]
    layer = torch.arange(1, count + 1, dtype=torch.int16, device=masks.device)
    top = (masks[order].to(torch.int16) * layer[:, None, None]).amax(0)
    return paint_labels(top, classes[order])


def paint_labels(top: Int[Tensor, "h w"], classes: Int[Tensor, " n"]) -> Float[Tensor, "5 h w"]:
    """Paint a map of instance numbers.

    Args:
        top: 0 on the background, i + 1 where instance i is seen.
        classes: Class index of each instance; a negative one means none, whose code is 0.
    """
    codes = category_code(classes.clamp(min=0)) * (classes >= 0)[:, None]
    table = torch.cat([torch.zeros(1, 3, device=top.device), codes.to(top.device)])
    boundary = torch.zeros_like(top, dtype=torch.bool)
    right, left = top[:, 1:], top[:, :-1]
    lower, upper = top[1:], top[:-1]
    # The line runs on the left or upper one of two pixels, so that it is one pixel wide.
    boundary[:, :-1] |= (left != right) & (left > 0) & (right > 0)
    boundary[:-1] |= (upper != lower) & (upper > 0) & (lower > 0)
    shape = (top > 0).float()[None]
    return torch.cat([shape, table[top.long()].permute(2, 0, 1), boundary.float()[None]])
