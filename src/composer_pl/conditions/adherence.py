"""How well pictures obey values, for any condition, with each plugin's own measure."""

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.conditions.extraction import Extraction
from composer_pl.plugin.values import extractor_at, to_canvas


@torch.no_grad()
def adherence(
    extraction: Extraction, name: str, image: Float[Tensor, "b 3 h w"], value: Tensor
) -> Float[Tensor, " b"]:
    """Score pictures against the values they should obey: 1 is perfect, lower is worse.

    The score alone says little; hold it between a floor (the same pictures against values of other
    pictures) and a ceiling (the true pictures, brought to the model's resolution).

    Args:
        extraction: Holds the plugins and their extractors.
        name: Which condition.
        image: Pictures in [-1, 1] at any size.
        value: `(b, *spec.shape)`.
    """
    plugin = extraction.plugins[name]
    size = extraction.value_size
    if plugin.scope == "local":
        size = (value.shape[-2], value.shape[-1])
    extractor = extractor_at(extraction.extractor(name, image.device), plugin, size)
    with torch.autocast(image.device.type, enabled=False):  # as in extraction
        return plugin.adherence(to_canvas(image, plugin, size), value, extractor=extractor)
