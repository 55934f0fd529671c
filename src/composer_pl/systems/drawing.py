"""Pictures for a batch whose samples do not all have the same conditions."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample


def draw_each(
    model: ComposerModel,
    values: Mapping[str, Tensor],
    keep: Bool[Tensor, "n b"],
    recipe: SamplingRecipe,
    *,
    keys: Int[Tensor, " b"],
    size: tuple[int, int],
) -> Float[Tensor, "b c h w"]:
    """Draw one picture for each sample, each from the conditions that it keeps.

    Samples that keep the same conditions are drawn together; one without a caption, say, takes no
    condition from those that have one.

    Args:
        model: On its device, in evaluation mode.
        values: A batch of values for each condition.
        keep: Which samples keep which conditions, rows in the model's order.
        recipe: How to sample.
        keys: One key a sample, for its starting noise.
        size: Height and width of the pictures.

    Returns:
        Pictures in [-1, 1] on the model's device.
    """
    keys = keys.cpu()
    patterns: dict[tuple[bool, ...], list[int]] = {}
    for i, pattern in enumerate(keep.T.tolist()):
        patterns.setdefault(tuple(pattern), []).append(i)
    device = next(model.parameters()).device
    pictures = torch.zeros(len(keys), model.config.in_channels, *size, device=device)
    for pattern, rows in patterns.items():
        kept = [name for name, has in zip(model.names, pattern, strict=True) if has]
        drawn = sample(
            model,
            {name: values[name][rows] for name in kept},
            recipe,
            keys=keys[rows],
            size=size,
            keep=kept,
        )
        pictures[rows] = drawn.to(pictures)
    return pictures
