"""The condition `masking`: what is known of a picture, and where."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConfigError,
    Extractor,
    HintEncoder,
    RepresentationSpec,
    lerp,
)
from composer_pl_masking.drawing import KINDS, draw_masks
from composer_pl_masking.reading import read_cut_out


class Masking(ConditionPlugin):
    """Masked picture and mask, `(4, H, W)`.

    Channels 0-2 are RGB in [-1, 1] times the mask (so 0, mid-grey, inside a hole), channel 3 is
    the mask: **1 where the picture is known, 0 in a hole** (paper section 2.1, "masking"). In
    training the hole is drawn for each sample by its key, see `composer_pl_masking.drawing`.

    Args:
        strokes: Weight of holes made of irregular strokes.
        rectangles: Weight of rectangular holes.
        halves: Weight of a missing half, for out-painting.
        drop_prob: Probability of dropping the condition.
    """

    scope = "local"
    resample = "nearest"
    randomized = True

    def __init__(
        self,
        *,
        strokes: float = 0.7,
        rectangles: float = 0.2,
        halves: float = 0.1,
        drop_prob: float = 0.5,
    ):
        self.strokes = strokes
        self.rectangles = rectangles
        self.halves = halves
        self.drop_prob = drop_prob

    @property
    def spec(self) -> RepresentationSpec:
        """Three colour channels in [-1, 1] and the mask in {0, 1}."""
        return RepresentationSpec(shape=(4, "H", "W"), value_range=(-1.0, 1.0))

    def build_extractor(self) -> Extractor:
        """Return `extract(image, keys)`; the same key always draws the same hole.

        Raises:
            ConfigError: A negative weight, or all weights zero.
        """
        shares = {name: float(getattr(self, name)) for name in KINDS}
        weights = (shares["strokes"], shares["rectangles"], shares["halves"])
        total = sum(weights)
        if min(weights) < 0 or not 0 < total < float("inf"):
            raise ConfigError(
                f"Setting up the condition 'masking': the weights of {', '.join(KINDS)} must be "
                f"non-negative and not all zero, found {shares}. Next: correct them."
            )

        def extract(
            image: Float[Tensor, "b 3 h w"], keys: Int[Tensor, " b"]
        ) -> Float[Tensor, "b 4 h w"]:
            known = draw_masks(keys, (image.shape[-2], image.shape[-1]), weights)
            known = known.to(image)
            return torch.cat([image * known, known], dim=1)

        return extract

    def build_encoder(self, dims: BackboneDims) -> HintEncoder:
        """Stacked convolutions to the hint."""
        return HintEncoder(4, dims)

    def adherence(
        self, image: Float[Tensor, "b 3 h w"], value: Tensor, *, extractor: Extractor
    ) -> Float[Tensor, " b"]:
        """1 minus half the mean absolute difference inside the known region; holes do not count.

        Where nothing is known every picture obeys, and the answer is 1. `extractor` is not used:
        it would draw another hole. Unrelated photos reach about 0.7.
        """
        known = value[:, 3:]
        difference = ((image - value[:, :3]).abs() * known).flatten(1).sum(1)
        return 1 - difference / (2 * 3 * known.flatten(1).sum(1)).clamp(min=1)

    def interpolate(
        self, value: Tensor, other: Tensor, share: float, *, straight: bool = False
    ) -> Tensor:
        """Between the ends only what both know is known, and its colours go straight."""
        if share in (0, 1):
            return lerp(value, other, share)
        known = torch.minimum(value[:, 3:], other[:, 3:])
        return torch.cat([lerp(value[:, :3], other[:, :3], share) * known, known], dim=1)

    def read(self, source: str | Path) -> Float[Tensor, "4 h w"]:
        """Read a picture with transparency: transparent parts are the hole.

        Raises:
            UserInputError: The file is no picture, or has no transparency.
        """
        return read_cut_out(source)

    def visualize(self, value: Tensor) -> Float[Tensor, "b 3 h w"]:
        """The known part, with a grey chequerboard showing through the hole."""
        height, width = value.shape[-2:]
        size = max(1, min(height, width) // 16)
        rows = torch.arange(height, device=value.device) // size
        columns = torch.arange(width, device=value.device) // size
        board = 0.45 + 0.2 * ((rows[:, None] + columns) % 2)
        known = value[:, 3:].float()
        picture = (value[:, :3].float() + 1) / 2
        return (picture * known + board * (1 - known)).clamp(0, 1)
