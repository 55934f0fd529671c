"""The condition `intensity`: a grey image whose RGB weights are drawn for each sample."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    Extractor,
    HintEncoder,
    RepresentationSpec,
)
from composer_pl_intensity.greys import GREYS, Grey
from composer_pl_intensity.reading import read_grey


class Intensity(ConditionPlugin):
    """Grey image, `(1, H, W)` in [-1, 1]: -1 is black, 1 is white, as in pictures.

    The RGB weights are drawn uniformly from a set, for each sample by its key (paper section 2.1,
    "intensity"; no published text names the set, see `composer_pl_intensity.greys`). Because the
    model never learns which weights made a value, it cannot read hues out of the grey levels, and
    it takes black-and-white photographs of any origin.

    Args:
        greys: Names out of `composer_pl_intensity.greys.GREYS`, all equally likely.
        drop_prob: Probability of dropping it; the paper drops intensity more often than the other
            conditions (0.7), because it nearly determines the picture.
    """

    scope = "local"
    resample = "area"
    randomized = True

    def __init__(
        self, *, greys: list[str] | tuple[str, ...] = tuple(GREYS), drop_prob: float = 0.7
    ):
        self.greys = tuple(greys)
        self.drop_prob = drop_prob

    @property
    def spec(self) -> RepresentationSpec:
        """One channel in [-1, 1]."""
        return RepresentationSpec(shape=(1, "H", "W"), value_range=(-1.0, 1.0))

    def build_extractor(self) -> Extractor:
        """Return `extract(image, keys)`; the same key always draws the same weights.

        Raises:
            ConfigError: `greys` is empty or names an unknown grey.
        """
        return Grey(self.greys)

    def build_encoder(self, dims: BackboneDims) -> HintEncoder:
        """Stacked convolutions to the hint."""
        return HintEncoder(1, dims)

    def adherence(
        self, image: Float[Tensor, "b 3 h w"], value: Tensor, *, extractor: Extractor
    ) -> Float[Tensor, " b"]:
        """`1 - distance` for the best weights of the set.

        A value does not say which weights made it (and one that a person supplies may have any), so
        a picture obeys it if one grey of the set reproduces it: every grey is tried, the smallest
        distance counts for each sample. `extractor` is not used.

        Grey levels of any two photos are alike in part: unrelated photos reach about 0.75, as a
        mean difference of a quarter of the range is all that they differ by.
        """
        every = Grey(self.greys).every(image)
        distances = [self.distance(grey, value) for grey in every.unbind(1)]
        return 1 - torch.stack(distances).min(0).values

    def read(self, source: str | Path) -> Float[Tensor, "1 h w"]:
        """Read a grey picture; a coloured one is weighted after Rec. 601, 16 bits are kept.

        Raises:
            UserInputError: The file is no picture.
        """
        return read_grey(source)
