"""What the checks of the contract share: samples, and an import in a fresh interpreter."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from composer_pl.errors import MissingDependencyError, MissingWeightsError, RepresentationError
from composer_pl.plugin.api import ConditionPlugin, Extractor
from composer_pl.plugin.values import extractor_at, to_canvas, value_dtype, value_shape
from composer_pl.randomness import keyed_draws
from composer_pl.types import BackboneDims, ConditionSignals

HEAVY = (
    *("cleanfid", "cv2", "diffusers", "kornia", "lightning", "matplotlib", "open_clip", "scipy"),
    *("skimage", "timm", "torchmetrics", "torchvision", "transformers", "ultralytics"),
)
"""Libraries that importing and constructing a plugin must not load."""

DIMS = (
    BackboneDims(time_dim=24, context_dim=12, hint_channels=4, hint_scale=4),
    BackboneDims(time_dim=40, context_dim=20, hint_channels=6, hint_scale=2),
)
"""Two backbones; an encoder must fit both."""

GRID = 16
"""Side of x_t."""

SIDE = GRID * DIMS[0].hint_scale
"""Side of local values for the first of DIMS."""

BATCH = 3


def discs_on_gradients(side: int) -> Float[Tensor, "b 3 s s"]:
    """Three different pictures in [-1, 1] that most extractors find something in."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    pictures = []
    for number, colour in enumerate(((0.9, -0.6, -0.8), (-0.7, 0.8, -0.2), (-0.5, -0.4, 0.9))):
        centre, radius = 0.35 * (number - 1), 0.35 + 0.15 * number
        disc = (x - centre) ** 2 + (y + centre) ** 2 < radius**2
        ground = torch.stack([x, y, -x])[(torch.arange(3) + number) % 3] * 0.6
        pictures.append(torch.where(disc, torch.tensor(colour)[:, None, None], ground))
    return torch.stack(pictures)


def built_extractor(owner: type, plugin: ConditionPlugin) -> Extractor:
    """Build the extractor once for a test class; skip where weights or libraries are absent."""
    known = owner.__dict__.get("_built")
    if known is None or known[0] != plugin:
        try:
            extractor = plugin.build_extractor()
        except (MissingWeightsError, MissingDependencyError) as error:
            pytest.skip(str(error))
        if isinstance(extractor, nn.Module):
            extractor.eval().requires_grad_(False)
        known = (plugin, extractor)
        owner._built = known  # type: ignore[attr-defined]
    return known[1]


class Samples:
    """Three samples of a plugin, extracted from pictures, or random where that is impossible.

    Args:
        plugin: The plugin under test.
        images: Pictures in [-1, 1].
        captions: Texts.
        extractor: None where weights or libraries are absent.
    """

    def __init__(
        self,
        plugin: ConditionPlugin,
        images: Float[Tensor, "b 3 s s"],
        captions: list[str],
        extractor: Extractor | None,
    ):
        self.plugin, self.images, self.captions = plugin, images, captions
        self.extractor = extractor

    def canvas(self, size: int) -> Float[Tensor, "b 3 h w"]:
        """The pictures as the extractor gets them for values of side `size`."""
        return to_canvas(self.images, self.plugin, (size, size))

    def extract(self, size: int, rows: slice = slice(None)) -> Tensor:
        """Values of some rows, local ones at side `size`."""
        entries = {"image": self.canvas(size)[rows], "caption": self.captions[rows]}
        arguments: list[object] = [entries[name] for name in self.plugin.inputs]
        if self.plugin.randomized:
            arguments.append(sample_keys()[rows])
        with torch.no_grad():
            return self.at_size(*arguments, size=size)

    def at_size(self, *arguments: object, size: int) -> Tensor:
        """Call the extractor and bring a local map to size x size as the plugin declares."""
        assert self.extractor is not None
        return extractor_at(self.extractor, self.plugin, (size, size))(*arguments)

    def values(self, size: int) -> Tensor:
        """Values at side `size`, extracted or random in the declared range."""
        if self.extractor is not None:
            return self.extract(size)
        return random_values(self.plugin, size)

    @contextmanager
    def legal(self) -> Iterator[None]:
        """Skip where random values are refused: a plugin may assert more than a range."""
        try:
            yield
        except RepresentationError as error:
            if self.extractor is not None:
                raise
            pytest.skip(f"weights are absent, and random values are refused: {error}")
        except (MissingWeightsError, MissingDependencyError) as error:
            pytest.skip(str(error))


def sample_keys() -> Int[Tensor, " b"]:
    """One key a sample."""
    return torch.arange(11, 11 + BATCH)


def expected_shape(plugin: ConditionPlugin, size: int) -> tuple[int, ...]:
    """Shape of one value at a local side."""
    return value_shape(plugin.spec, (size, size))


def random_values(plugin: ConditionPlugin, size: int) -> Tensor:
    """Random values in the declared range."""
    spec, shape = plugin.spec, expected_shape(plugin, size)

    def draw(generator: torch.Generator) -> Tensor:
        if spec.value_range is None:
            return torch.randn(shape, generator=generator)
        low, high = spec.value_range
        return low + (high - low) * torch.rand(shape, generator=generator)

    return keyed_draws(sample_keys(), "values", draw).to(value_dtype(spec))


def present(signals: ConditionSignals) -> dict[str, Tensor]:
    """The signals that are filled, by name."""
    names = ("time", "context", "context_mask", "hint")
    return {name: part for name in names if (part := getattr(signals, name)) is not None}


def loaded_by(statement: str) -> list[str]:
    """Which heavy libraries a statement loads in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"`{statement}` fails: {done.stderr.strip().splitlines()[-1:]}"
    return done.stdout.split()
