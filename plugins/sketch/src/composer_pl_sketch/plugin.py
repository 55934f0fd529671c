"""The condition `sketch`: simplified edge strokes."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConfigError,
    Extractor,
    HintEncoder,
    RepresentationSpec,
    WeightSpec,
    resolve_weights,
)
from composer_pl_sketch.edges import Edges, build_detector
from composer_pl_sketch.reading import read_strokes
from composer_pl_sketch.simplify import draw, select, thin
from composer_pl_sketch.weights import WEIGHTS

# Strength that a stroke may run through, and that it must reach, by detector; chosen on photos.
_THRESHOLDS = {"canny": (0.12, 0.3), "dexined": (0.3, 0.6)}
_PIDINET_THRESHOLDS = (0.2, 0.45)


class Sketch(ConditionPlugin):
    """Edge strokes, `(1, H, W)` in [0, 1]: strokes are 1 on a ground of 0 (paper section 2.1).

    Edges are found in a photo, then simplified to few thin strokes. Differs from the paper: by
    default edges come from Canny's method, because the paper's detector (PiDiNet) has weights for
    research only and a condition that needs no file works everywhere; name `edges="pidinet"` for
    the paper's, `"dexined"` for learned edges under a permissive licence. Strokes are simplified
    by rule, not by a learned network (see `composer_pl_sketch.simplify`).

    Args:
        edges: "pidinet" (also "-small", "-tiny"), "dexined", or "canny".
        weights_file: The detector's weights on disk, `.safetensors` or `.pth`; None takes the
            file that `composer-pl plugins fetch` put into the cache.
        canvas: Side of the picture that edges are looked for in. 256 is the side of values of a
            64 px model, so that strokes are drawn on the very grid that the encoder reads. (The lab
            uses 384 for its larger values.)
        min_length: Fewest pixels of a stroke on the canvas; shorter ones are specks.
        drop_prob: Probability of dropping the condition for a sample.
    """

    scope = "local"
    canvas = 256
    resample = "area"
    weights = tuple(WEIGHTS.values())

    def __init__(
        self,
        *,
        edges: Edges = "canny",
        weights_file: str | None = None,
        canvas: int = 256,
        min_length: int = 16,
        drop_prob: float = 0.5,
    ):
        self.edges: Edges = edges
        self.weights_file = weights_file
        self.canvas = canvas  # pyright: ignore[reportAttributeAccessIssue]
        self.min_length = min_length
        self.drop_prob = drop_prob

    @property
    def spec(self) -> RepresentationSpec:
        """One channel in [0, 1]."""
        return RepresentationSpec(shape=(1, "H", "W"), value_range=(0.0, 1.0))

    def weights_in_use(self) -> tuple[WeightSpec, ...]:
        """The detector's file, unless the user gave one; nothing for "canny"."""
        return (WEIGHTS[self.edges],) if self.edges in WEIGHTS and not self.weights_file else ()

    def build_extractor(self) -> Extractor:
        """Return a Module `(b, 3, h, w)` in [-1, 1] -> strokes `(b, 1, h, w)`.

        Raises:
            ConfigError: `edges` names no detector, or a number is out of range.
            MissingWeightsError: The detector's weights are absent or are others.
        """
        if self.edges not in get_args(Edges):
            raise ConfigError(
                f"Building the sketch extractor: `edges` must be one of "
                f"{', '.join(get_args(Edges))}, found {self.edges!r}. Next: correct it."
            )
        for name, least in (("canvas", 1), ("min_length", 0)):
            if (number := getattr(self, name)) < least:
                raise ConfigError(
                    f"Building the sketch extractor: `{name}` must be {least} or more, found "
                    f"{number}. Next: correct it."
                )
        path = None
        if spec := WEIGHTS.get(self.edges):
            if self.weights_file:  # a file that the user names may be converted or trained anew
                spec = replace(spec, sha256="", size=0)
            path = resolve_weights(spec, condition="sketch", path=self.weights_file or None)
        low, high = _THRESHOLDS.get(self.edges, _PIDINET_THRESHOLDS)
        return Strokes(
            build_detector(self.edges, path), low=low, high=high, min_length=self.min_length
        )

    def build_encoder(self, dims: BackboneDims) -> HintEncoder:
        """Stacked convolutions to the hint."""
        return HintEncoder(1, dims)

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """`1 - F1` of the strokes, where a stroke counts as found within 1/128 of the side.

        0 when equal, 1 when no stroke of one lies near a stroke of the other; unrelated photos
        meet by chance and lie at about 0.8. Symmetric.
        """
        ours, theirs = _inked(value), _inked(other)
        reach = max(1, round(max(value.shape[-2:]) / 128))
        precision = _share_near(ours, theirs, reach)
        recall = _share_near(theirs, ours, reach)
        f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-8)
        both_empty = ~(ours.flatten(1).any(1) | theirs.flatten(1).any(1))
        return torch.where(both_empty, 0.0, 1 - f1)

    def read(self, source: str | Path) -> Float[Tensor, "1 h w"]:
        """Read a drawing, black on white or white on black; the value is white on black.

        Raises:
            UserInputError: The file is no picture of strokes.
        """
        return read_strokes(source, self.canvas or 256)

    def visualize(self, value: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Draw black strokes on white paper, as the paper's figures do; values are the inverse."""
        return (1 - value.float().clamp(0, 1)).expand(-1, 3, -1, -1)


class Strokes(nn.Module):
    """The extractor: detect edges, thin them, choose strokes, draw them.

    Args:
        detector: From `build_detector`.
        low: Weakest strength that a stroke may run through.
        high: Strength that a stroke must reach somewhere.
        min_length: Fewest pixels of a stroke.
    """

    def __init__(self, detector: nn.Module, *, low: float, high: float, min_length: int):
        super().__init__()
        self.detector = detector
        self.low, self.high, self.min_length = low, high, min_length

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Pictures in [-1, 1] -> strokes in [0, 1]."""
        crests = thin(self.detector(image.float()))
        chosen = select(crests, low=self.low, high=self.high, min_length=self.min_length)
        return draw(chosen)


def _inked(value: Float[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """Where strokes run: above half of each sample's strongest ink.

    Relative, because area resampling makes thin strokes fainter.
    """
    strongest = value.amax((1, 2, 3), keepdim=True)
    return value > 0.5 * strongest.clamp(min=0.1)


def _share_near(
    strokes: Bool[Tensor, "b 1 h w"], others: Bool[Tensor, "b 1 h w"], reach: int
) -> Float[Tensor, " b"]:
    """Which share of `strokes` lies within `reach` pixels of `others`; 0 where there are none."""
    near = max_pool2d(others.float(), 2 * reach + 1, stride=1, padding=reach) > 0
    found = (strokes & near).flatten(1).sum(1)
    return found / strokes.flatten(1).sum(1).clamp(min=1)
