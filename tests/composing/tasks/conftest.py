"""A tiny model whose conditions have the customary names, and two photos."""

import numpy as np
import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.plugin import HintEncoder, RepresentationSpec


class FakePalette(FakeGlobal):
    """Mean colour; one hex colour by hand."""

    def read(self, source):
        digits = str(source).lstrip("#")
        return torch.tensor([int(digits[i : i + 2], 16) / 127.5 - 1 for i in (0, 2, 4)])


class FakeMasked(FakeLocal):
    """RGB and what is known of it, by hand only."""

    resample = "nearest"

    @property
    def spec(self):
        return RepresentationSpec(shape=(4, "H", "W"), value_range=(-1.0, 1.0))

    def build_extractor(self):
        return lambda image: torch.cat([image, torch.ones_like(image[:, :1])], 1)

    def build_encoder(self, dims):
        return HintEncoder(4, dims)

    def read(self, source):
        with Image.open(source) as file:
            rgba = torch.from_numpy(np.array(file.convert("RGBA"))).permute(2, 0, 1).float()
        known = (rgba[3:] > 127).float()
        return torch.cat([(rgba[:3] / 127.5 - 1) * known, known])


CONDITIONS = {
    "caption": FakeCaption,
    "semantics": FakeGlobal,
    "color": FakePalette,
    "sketch": FakeLocal,
    "depth": FakeLocal,
    "instances": FakeLocal,
    "intensity": FakeLocal,
    "masking": FakeMasked,
}


def model_of(*names):
    """A tiny model of these conditions with weights that do something."""
    torch.manual_seed(0)
    plugins = {name: CONDITIONS[name]() for name in names or CONDITIONS}
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), plugins)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return Composer(model)


@pytest.fixture
def composer():
    """Knows all eight conditions."""
    return model_of()


@pytest.fixture
def poor():
    """Knows sketch and semantics alone."""
    return model_of("sketch", "semantics")


@pytest.fixture
def photo():
    """Wider than high."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def other():
    """All of one colour."""
    return Image.new("RGB", (60, 60), (200, 40, 10))
