"""The condition `color`: which colours a picture has, and how much of each."""

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConditionSignals,
    ConfigError,
    RepresentationSpec,
    VectorEncoder,
    lerp,
)
from composer_pl_color.codebook import BINS
from composer_pl_color.palette import (
    PaletteExtractor,
    draw_strip,
    palette_distance,
    palette_from_colors,
)
from composer_pl_color.reading import read_colors
from composer_pl_color.transport import displaced


class PaletteEncoder(VectorEncoder):
    """A palette -> time vector and context tokens, read as sqrt(156 p).

    A probability vector over 156 bins has entries of about 0.006: the first linear layer would see
    its own bias and little else, as its weights are drawn for inputs of unit variance. The entries
    of sqrt(156 p) have mean square exactly 1 for every palette, distances between them are
    Hellinger distances, and accent colours of 1% weigh a tenth instead of a hundredth of the rest.
    The stored value stays the probability vector, so that palettes can be mixed and compared.
    """

    def encode(self, value: Float[Tensor, "b d"]) -> ConditionSignals:
        """Encode palettes `(b, 156)`."""
        return super().encode((value.clamp(min=0) * BINS).sqrt())


class Color(ConditionPlugin):
    """Smoothed CIELab palette: 156 reference colours and the share of each (paper section 2.1).

    Args:
        sigma: Smoothing between reference colours in Lab units; the paper's is 10.
        tokens: Context tokens; the paper makes eight of image embedding and palette together.
        drop_prob: Probability of dropping the palette.
    """

    scope = "global"
    # Against 384 pixels, 128 move a palette by 0.04 of the distance between unrelated photos.
    canvas = 128

    def __init__(self, *, sigma: float = 10.0, tokens: int = 4, drop_prob: float = 0.5):
        if not 0 <= sigma < math.inf:
            raise ConfigError(
                f"Building Color: expected a sigma of 0 or more, found {sigma}. Next: set 10."
            )
        if tokens < 0:
            raise ConfigError(
                f"Building Color: expected 0 or more tokens, found {tokens}. Next: set 4."
            )
        self.sigma = sigma
        self.tokens = tokens
        self.drop_prob = drop_prob

    @property
    def spec(self) -> RepresentationSpec:
        """A probability vector over the reference colours."""
        return RepresentationSpec(shape=(BINS,), value_range=(0.0, 1.0))

    def build_extractor(self) -> PaletteExtractor:
        """Pictures in [-1, 1] -> palettes."""
        return PaletteExtractor(self.sigma)

    def build_encoder(self, dims: BackboneDims) -> PaletteEncoder:
        """A two-layer perceptron to the time embedding, another to `tokens` context tokens."""
        return PaletteEncoder(BINS, dims, tokens=self.tokens)

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """Root of the energy distance in Lab, about 1 for unrelated photos."""
        return palette_distance(value, other)

    def interpolate(
        self, value: Tensor, other: Tensor, share: float, *, straight: bool = False
    ) -> Tensor:
        """By optimal transport in Lab: red turns blue through purple; `straight` is the mixture.

        Raises:
            MissingDependencyError: scipy is absent.
        """
        if straight:
            return lerp(value, other, share)
        pairs = zip(value, other, strict=True)
        return torch.stack([displaced(one, two, share) for one, two in pairs])

    def read(self, source: str | Path) -> Tensor:
        """Read hex colours with optional relative weights: `#0b3d91,#f4d35e:0.3,#fff`.

        Raises:
            UserInputError: An entry is no colour, with its text and the form.
        """
        colors = read_colors(str(source))
        rgb = torch.tensor([color for color, _ in colors])
        shares = torch.tensor([weight for _, weight in colors])
        return palette_from_colors(rgb, shares, self.sigma)

    def visualize(self, value: Tensor) -> Float[Tensor, "b 3 h w"]:
        """Strips of the 16 largest colours, each as wide as its mass."""
        return draw_strip(value)
