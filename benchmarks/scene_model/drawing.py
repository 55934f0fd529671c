"""Values of scenes for a model, and pictures drawn from them."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.conditions.extraction import Extraction
from composer_pl.evaluation.scenes.truth import small
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample
from composer_pl.randomness import derive_key
from composer_pl.types import Batch


def extraction_of(model: ComposerModel) -> Extraction:
    """The extractors of a model, for pictures of its own size."""
    side = model.config.resolution
    return Extraction(model.plugins, value_size=model.value_size(side, side))


def values_of(
    extraction: Extraction,
    pixels: Tensor,
    texts: Sequence[str],
    *,
    seed: int,
    names: Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """Extract the conditions of 8-bit pictures of 128 px and their captions.

    Args:
        extraction: The extractors.
        pixels: `(b, 3, 128, 128)`, on the device to work on.
        texts: One caption a picture.
        seed: Of masks and grey weights.
        names: Which conditions; None takes all. Others are left out.
    """
    count = len(pixels)
    keys = torch.tensor([derive_key(seed, "values", i) for i in range(count)])
    batch = Batch(
        source=pixels.float() / 127.5 - 1,
        image=small(pixels),
        caption=list(texts),
        index=torch.arange(count),
        key=keys,
        identity=keys,
    )
    chosen = list(extraction.plugins if names is None else names)
    keep = torch.tensor([name in chosen for name in extraction.plugins])[:, None]
    found = extraction.extract(batch, keep.expand(-1, count))
    return {name: found[name] for name in chosen}


def draw(
    model: ComposerModel,
    values: Mapping[str, Tensor],
    recipe: SamplingRecipe,
    keys: Int[Tensor, " b"],
) -> Float[Tensor, "b 3 64 64"]:
    """Draw one picture a key at the model's own size; in bfloat16 on a GPU, or where asked for."""
    side = model.config.resolution
    device = next(model.parameters()).device
    half = device.type == "cuda" or torch.is_autocast_enabled("cpu")
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        pictures = sample(model, values, recipe, keys=keys, size=(side, side))
    return pictures.float()


def to_bytes(pictures: Float[Tensor, "b 3 h w"]) -> Tensor:
    """Pictures in [-1, 1] -> 8 bits on the CPU."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
