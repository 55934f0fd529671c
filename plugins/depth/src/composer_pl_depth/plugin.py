"""The condition `depth`: how near each place of a picture is."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.plugin import (
    BackboneDims,
    ConditionPlugin,
    ConfigError,
    Extractor,
    HintEncoder,
    MissingWeightsError,
    RepresentationSpec,
    WeightSpec,
    resolve_weights,
)
from composer_pl_depth.estimators import (
    DepthEstimator,
    DepthModel,
    default_canvas,
    load_network,
)
from composer_pl_depth.reading import read_depth
from composer_pl_depth.weights import WEIGHTS


class Depth(ConditionPlugin):
    """Relative inverse depth, `(1, H, W)` in [0, 1]: near is 1, far is 0 (paper section 2.1).

    Differs from the paper: the default estimator is Depth Anything V2 Small, which is a fourteenth
    of the size and sharper than the paper's MiDaS; `model="dpt-large"` is MiDaS v3 for fidelity.
    `model="tiny-scenes"` knows procedural scenes only and is shipped with this package.
    Each picture's own range is stretched to [0, 1] (see `composer_pl_depth.estimators.normalise`).

    Args:
        model: Estimator.
        weights_file: Its weights on disk, a `.safetensors` or `.bin` file, or a folder in
            transformers' layout, whose `config.json` then decides the size; None takes the shipped
            file, or the one that `composer-pl plugins fetch` put into the cache. Metric models,
            whose near is small, are refused from a folder; a bare file does not tell that it is
            one.
        canvas: Side of the picture that the estimator sees; None is 128 for `tiny-scenes` and 252
            for the others, which is what a data canvas of 256 holds in patches of 14. Those were
            trained at 518 (Depth Anything) and 384 (DPT), which give finer maps where the data
            canvas is that large.
        drop_prob: Probability of dropping the condition for a sample.
    """

    scope = "local"
    canvas = 252
    resample = "bicubic"
    weights = tuple(WEIGHTS.values())

    def __init__(
        self,
        *,
        model: DepthModel = "depth-anything-v2-small",
        weights_file: str | None = None,
        canvas: int | None = None,
        drop_prob: float = 0.5,
    ):
        self.model: DepthModel = model
        self.weights_file = weights_file
        # None is settled here, so that equal settings are equal, in files and caches too
        side = default_canvas(model) if canvas is None else canvas
        self.canvas = side  # pyright: ignore[reportAttributeAccessIssue]
        self.drop_prob = drop_prob

    @property
    def spec(self) -> RepresentationSpec:
        """One channel in [0, 1]."""
        return RepresentationSpec(shape=(1, "H", "W"), value_range=(0.0, 1.0))

    def weights_in_use(self) -> tuple[WeightSpec, ...]:
        """The file of `model`."""
        return (WEIGHTS[self.model],) if self.model in WEIGHTS else ()

    def build_extractor(self) -> Extractor:
        """Return a Module `(b, 3, h, w)` in [-1, 1] -> depth `(b, 1, h', w')` in [0, 1].

        Raises:
            ConfigError: `model` names no estimator, `canvas` is no size, or the weights are of
                another kind.
            MissingWeightsError: The weights are absent or are others.
            MissingDependencyError: transformers is absent.
        """
        if self.model not in get_args(DepthModel):
            raise ConfigError(
                f"Building the depth extractor: `model` must be one of "
                f"{', '.join(get_args(DepthModel))}, found {self.model!r}. Next: correct it."
            )
        if (self.canvas or 0) < 1:
            raise ConfigError(
                f"Building the depth extractor: `canvas` must be a number of pixels, found "
                f"{self.canvas}. Next: correct it; 252 and 518 are multiples of the patch."
            )
        return DepthEstimator(self.model, load_network(self.model, self._source()))

    def _source(self) -> Path:
        """Where the weights lie."""
        spec = WEIGHTS[self.model]
        if not self.weights_file:
            return resolve_weights(spec, condition="depth")
        folder = Path(self.weights_file).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise MissingWeightsError(
                    f"Loading depth estimator {self.model!r}: expected config.json and weights in "
                    f"{folder}, found no config.json. Next: give the folder that transformers' "
                    f"save_pretrained wrote, or the weights file itself."
                )
            return folder
        # A file that the user names may be trained anew.
        spec = replace(spec, sha256="", size=0)
        return resolve_weights(spec, condition="depth", path=self.weights_file)

    def build_encoder(self, dims: BackboneDims) -> HintEncoder:
        """Stacked convolutions to the hint."""
        return HintEncoder(1, dims)

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """Error after the best scale and shift, as a share of the deviation; symmetric.

        Relative depth is known up to scale and shift, so that `other` is first fitted to `value`
        by least squares with a scale of at least zero: near must stay near. The remaining
        root-mean-square error is `sqrt(1 - r^2)` of the deviation, with r their correlation: 0
        when equal, 1 when unrelated or reversed. A flat map is unrelated to every other one.
        """
        ours, theirs = value.flatten(1).double(), other.flatten(1).double()
        ours = ours - ours.mean(1, keepdim=True)
        theirs = theirs - theirs.mean(1, keepdim=True)
        norms = ours.norm(dim=1), theirs.norm(dim=1)
        flat = [norm <= 1e-6 * ours.shape[1] ** 0.5 for norm in norms]
        correlation = (ours * theirs).sum(1) / (norms[0] * norms[1]).clamp(min=1e-30)
        apart = (1 - correlation.clamp(0, 1) ** 2).clamp(min=0).sqrt()
        apart = torch.where(flat[0] | flat[1], 1.0, apart)
        return torch.where(flat[0] & flat[1], 0.0, apart).float()

    def read(self, source: str | Path) -> Float[Tensor, "1 h w"]:
        """Read a depth map, near is white; `room.png?near=black` for the reverse.

        Raises:
            UserInputError: The file is no grey picture.
        """
        return read_depth(source)
