"""Tiny conditions for the tests of core: no weights, no library beside torch."""

import numpy as np
import torch
from PIL import Image

from composer_pl.plugin import (
    BackboneDims,
    ConditionEncoder,
    ConditionPlugin,
    HintEncoder,
    RepresentationSpec,
    UserInputError,
    VectorEncoder,
    keyed_uniform,
)

GREY = torch.tensor([0.299, 0.587, 0.114])


def grey(image, weights=GREY):
    """(b, 3, h, w) -> (b, 1, h, w) by RGB weights, one triple or one a sample."""
    return (image * weights.to(image).reshape(-1, 3, 1, 1)).sum(1, keepdim=True)


class FakeGlobal(ConditionPlugin):
    """Mean colour."""

    scope = "global"
    canvas = 32

    def __init__(self, *, drop_prob: float = 0.5, tokens: int = 2):
        self.drop_prob, self.tokens = drop_prob, tokens

    @property
    def spec(self):
        return RepresentationSpec(shape=(3,), value_range=(-1.0, 1.0))

    def build_extractor(self):
        return lambda image: image.mean((2, 3))

    def build_encoder(self, dims: BackboneDims) -> ConditionEncoder:
        return VectorEncoder(3, dims, tokens=self.tokens)


class FakeLocal(ConditionPlugin):
    """Grey picture at half the size of the canvas."""

    scope = "local"
    canvas = 32

    def __init__(self, *, drop_prob: float = 0.5):
        self.drop_prob = drop_prob

    @property
    def spec(self):
        return RepresentationSpec(shape=(1, "H", "W"), value_range=(-1.0, 1.0))

    def build_extractor(self):
        return lambda image: torch.nn.functional.avg_pool2d(grey(image), 2)

    def build_encoder(self, dims: BackboneDims) -> ConditionEncoder:
        return HintEncoder(1, dims)


class FakeRandom(FakeLocal):
    """Grey picture times a random factor in [0.5, 1), so that the value depends on the key."""

    canvas = None
    randomized = True

    def build_extractor(self):
        return lambda image, keys: (
            grey(image) * (0.5 + 0.5 * keyed_uniform(keys, "factor", (1, 1, 1)).to(image))
        )

    def adherence(self, image, value, *, extractor):
        """Correlation with the grey picture, whatever the factor."""
        return torch.nn.functional.cosine_similarity(grey(image).flatten(1), value.flatten(1))


class FakeCaption(ConditionPlugin):
    """Counts of the letters a to h in a text."""

    scope = "global"
    inputs = ("caption",)

    def __init__(self, *, drop_prob: float = 0.5):
        self.drop_prob = drop_prob

    @property
    def spec(self):
        return RepresentationSpec(shape=(8,), value_range=(0.0, 99.0))

    def build_extractor(self):
        return lambda caption: torch.tensor(
            [[float(min(text.count(letter), 99)) for letter in "abcdefgh"] for text in caption]
        ).reshape(-1, 8)

    def build_encoder(self, dims: BackboneDims) -> ConditionEncoder:
        return VectorEncoder(8, dims, tokens=1)

    def adherence(self, image, value, *, extractor):
        return torch.zeros(len(image))

    def read(self, source):
        if not isinstance(source, str):
            raise UserInputError(f"Reading {source!r}: expected a text. Next: give one.")
        return self.build_extractor()([source])[0]

    def visualize(self, value):
        return [" ".join(f"{number:g}" for number in row) for row in value]


def write_photos():
    """Two photos in the working directory: a.png of noise, b.png of red."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("a.png")
    Image.new("RGB", (50, 50), "red").save("b.png")
