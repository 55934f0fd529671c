"""A tiny CLIP for tests of the prior: texts and pictures in one space of four numbers."""

import pytest
import torch

from composer_pl.backbones.prior_transformer import PriorConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.prior import PriorModel
from composer_pl.plugin import ConditionPlugin, RepresentationSpec, VectorEncoder

WIDTH, WORDS = 4, 3
SIZE = PriorConfig(width=16, layers=2, head_dim=8)
X_0 = ProcessConfig(prediction="x_0")


def unit(value):
    """Of length sqrt(width)."""
    return value * value.shape[-1] ** 0.5 / value.norm(dim=-1, keepdim=True).clamp(min=1e-6)


class FakeWords(ConditionPlugin):
    """A sentence row and a row a word; words are told apart by their length and first letter."""

    scope = "global"
    inputs = ("caption",)

    def __init__(self, *, clip: str = "one", drop_prob: float = 0.1):
        self.clip, self.drop_prob = clip, drop_prob

    @property
    def spec(self):
        return RepresentationSpec(shape=(1 + WORDS, WIDTH + 1))

    def agreement(self):
        return {"clip": self.clip}

    def build_extractor(self):
        def extract(captions):
            value = torch.zeros(len(captions), 1 + WORDS, WIDTH + 1)
            for row, text in zip(value, captions, strict=True):
                for place, word in enumerate(text.split()[:WORDS]):
                    row[1 + place, 0], row[1 + place, 1] = len(word), ord(word[0]) / 100
                row[0, :WIDTH] = unit(torch.tensor([1.0, len(text), text.count("a"), 0.5]))
            return value

        return extract

    def build_encoder(self, dims):
        return _Flat(dims)

    def adherence(self, image, value, *, extractor):
        return torch.zeros(len(image))

    def read(self, source):
        return self.build_extractor()([str(source)])[0]


class _Flat(VectorEncoder):
    def __init__(self, dims):
        super().__init__((1 + WORDS) * (WIDTH + 1), dims, tokens=1)

    def encode(self, value):
        return super().encode(value.flatten(1))


class FakeEmbedding(ConditionPlugin):
    """The mean colour and its brightness, of length 2."""

    scope = "global"
    canvas = 32

    def __init__(self, *, clip: str = "one", drop_prob: float = 0.5):
        self.clip, self.drop_prob = clip, drop_prob

    @property
    def spec(self):
        return RepresentationSpec(shape=(WIDTH,))

    def agreement(self):
        return {"clip": self.clip}

    def build_extractor(self):
        def extract(image):
            mean = image.mean((2, 3))
            return unit(torch.cat([mean, 1 + mean.mean(1, keepdim=True)], 1))

        return extract

    def build_encoder(self, dims):
        return VectorEncoder(WIDTH, dims, tokens=1)

    def distance(self, value, other):
        return 1 - torch.nn.functional.cosine_similarity(value, other)


def conditions(text="one", image="one"):
    return {"caption": FakeWords(clip=text), "semantics": FakeEmbedding(clip=image)}


def make_prior(*, trained=True, size=SIZE, clip="one"):
    """A prior whose output is not zero, unless it is to be fresh."""
    torch.manual_seed(0)
    built = PriorModel(size, X_0, conditions(clip, clip))
    if trained:
        for parameter in built.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return built.eval().requires_grad_(False)


@pytest.fixture
def clip_plugins(install):
    """The two fakes, discoverable."""
    install(
        "composer-pl-clip-fakes",
        {"fake_words": "prior_fakes:FakeWords", "fake_embedding": "prior_fakes:FakeEmbedding"},
    )
