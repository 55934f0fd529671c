"""Depth estimators of transformers, built from a local file or folder, never from the hub."""

import logging
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from composer_pl.plugin import ConfigError, MissingWeightsError, RepresentationError, require

DepthModel = Literal["depth-anything-v2-small", "dpt-large", "tiny-scenes"]

# The first fusion block has no second input, so this layer is never run; Intel's file lacks it.
_NEVER_RUN = "neck.fusion_stage.layers.0.residual_layer1."
_QUANTILES = (0.01, 0.99)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Family:
    """What differs between the estimators.

    Attributes:
        architecture: Class name in transformers.
        mean: Pixel mean of its pictures, in [0, 1].
        std: Pixel deviation.
        multiple: What the sides of its pictures must be divisible by.
        square: Whether they must be square.
        canvas: Side of the picture that it sees where nothing else is said.
    """

    architecture: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    multiple: int
    square: bool
    canvas: int


_FAMILIES: dict[str, _Family] = {
    "depth-anything-v2-small": _Family(
        architecture="DepthAnythingForDepthEstimation",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        multiple=14,
        square=False,
        canvas=252,  # what a data canvas of 256 holds in patches of 14
    ),
    "dpt-large": _Family(
        architecture="DPTForDepthEstimation",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        multiple=32,
        square=True,
        canvas=252,
    ),
    "tiny-scenes": _Family(
        architecture="DPTForDepthEstimation",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        multiple=32,
        square=True,
        canvas=128,
    ),
}


def default_canvas(model: str) -> int:
    """Side of the picture that an estimator sees where nothing else is said.

    A name that is none gets that of the default: it is refused where the estimator is built.
    """
    return _FAMILIES[model if model in _FAMILIES else "depth-anything-v2-small"].canvas


def architecture_config(transformers: ModuleType, model: DepthModel) -> Any:
    """The architecture of a model as a transformers config, so that no config file is needed."""
    if model == "dpt-large":
        return transformers.DPTConfig(
            hidden_size=1024,
            num_hidden_layers=24,
            num_attention_heads=16,
            intermediate_size=4096,
            image_size=384,
            patch_size=16,
            backbone_out_indices=[5, 11, 17, 23],
            neck_hidden_sizes=[256, 512, 1024, 1024],
            fusion_hidden_size=256,
        )
    if model == "tiny-scenes":
        return transformers.DPTConfig(
            hidden_size=128,
            num_hidden_layers=6,
            num_attention_heads=4,
            intermediate_size=512,
            image_size=128,
            patch_size=8,
            backbone_out_indices=[1, 2, 4, 5],
            neck_hidden_sizes=[32, 48, 64, 96],
            # a quarter of the usual sizes: maps come at the size of the picture, not at twice it
            reassemble_factors=[2, 1, 0.5, 0.25],
            fusion_hidden_size=40,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    backbone = transformers.Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_features=["stage3", "stage6", "stage9", "stage12"],
        reshape_hidden_states=False,
    )
    return transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_hidden_size=32,
    )


def load_network(model: DepthModel, source: Path) -> nn.Module:
    """Load an estimator from one weights file, or from a folder in transformers' layout.

    A file gets the published architecture of `model`. A folder brings its own `config.json`, so
    that other sizes of the same family work too. transformers renames keys between versions; going
    through its loader keeps published files loadable.

    Raises:
        MissingDependencyError: transformers is absent.
        MissingWeightsError: The source holds other weights.
        ConfigError: The folder holds a model whose output is no relative inverse depth.
    """
    transformers = require(
        "transformers", needed_by="The condition 'depth'", install="transformers"
    )
    network_class = getattr(transformers, _FAMILIES[model].architecture)
    expected = f"Loading depth estimator {model!r}: expected its weights in {source}, found"
    # Other sizes are refused below, in our words: transformers' own speak of a report unseen here.
    how = {
        "output_loading_info": True,
        "local_files_only": True,
        "ignore_mismatched_sizes": True,
    }
    try:
        with _quiet(transformers):
            if source.is_dir():
                network, report = network_class.from_pretrained(source, **how)
            else:
                network, report = network_class.from_pretrained(
                    None,
                    config=architecture_config(transformers, model),
                    state_dict=_read_state(source),
                    **how,
                )
    except Exception as error:  # readers raise whatever a foreign file makes them stumble over
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise MissingWeightsError(
            f"{expected} {type(error).__name__}: {reason}. Next: give the file of {model!r}, or "
            f"set `model` to the one that the file belongs to."
        ) from error
    if report["mismatched_keys"]:
        name, found, wanted = min(report["mismatched_keys"])
        raise MissingWeightsError(
            f"{expected} tensors of other sizes ({len(report['mismatched_keys'])}, the first is "
            f"{name}: {tuple(found)} instead of {tuple(wanted)}). Next: give the file of "
            f"{model!r}, or set `model` to the one that the file belongs to."
        )
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(_NEVER_RUN))
    if missing:
        raise MissingWeightsError(
            f"{expected} other tensors ({len(missing)} lacking, the first is {missing[0]}). Next: "
            f"give the file of {model!r}, or set `model` to the one that the file belongs to."
        )
    kind = getattr(network.config, "depth_estimation_type", "relative")
    if kind != "relative":
        raise ConfigError(
            f"Loading depth estimator {model!r} from {source}: expected relative inverse depth, "
            f"where near is large, found a {kind} model, whose near is small. Next: give a "
            f"relative model."
        )
    return network.float().eval()


class DepthEstimator(nn.Module):
    """The extractor: pictures in [-1, 1] -> depth in [0, 1], near is 1.

    Args:
        model: Family, which decides preprocessing.
        network: From `load_network`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: DepthModel, network: nn.Module):
        super().__init__()
        family = _FAMILIES[model]
        self.network = network
        self.multiple, self.square = family.multiple, family.square
        self.register_buffer("mean", torch.tensor(family.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(family.std).view(3, 1, 1))

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 _h _w"]:
        """Answer at the nearest size that the network takes.

        Raises:
            RepresentationError: The network answers with numbers that are no inverse depth.
        """
        size = [max(1, round(side / self.multiple)) * self.multiple for side in image.shape[-2:]]
        if self.square:
            size = [max(size)] * 2
        x = image.float()
        if list(x.shape[-2:]) != size:
            x = interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False)
            x = x.clamp(-1, 1)
        x = ((x + 1) / 2 - self.mean) / self.std
        inverse_depth = self.network(pixel_values=x).predicted_depth.float()
        if not inverse_depth.isfinite().all():
            raise RepresentationError(
                "Extracting depth: expected finite inverse depth, found infinite or undefined "
                "numbers. Next: check the weights with `composer-pl plugins check depth`."
            )
        return normalise(inverse_depth[:, None])


def normalise(inverse_depth: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Scale each picture's inverse depth to [0, 1]; the farthest and nearest hundredths saturate.

    Differs from the paper: the lab divides by 20 and clamps to [0, 10], which fits one estimator.
    Relative depth has no unit, so that each picture's own range is the only common one. A picture
    without depth, all of one value, is 0 everywhere.
    """
    bounds = torch.quantile(inverse_depth.flatten(1), inverse_depth.new_tensor(_QUANTILES), dim=1)
    far, near = (bound[:, None, None, None] for bound in bounds)
    # Rounding noise of a flat map must not be stretched to a landscape.
    width = near - far
    flat = width <= 1e-4 * near.abs()
    scaled = (inverse_depth - far) / torch.where(flat, 1.0, width)
    return torch.where(flat, 0.0, scaled.clamp(0, 1))


def _read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, or from a torch file without running its code."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


class _quiet:
    """Keep transformers' progress bars and load reports off the screen; problems are raised."""

    def __init__(self, transformers: ModuleType):
        self.settings = transformers.utils.logging

    def __enter__(self) -> None:
        self.level = self.settings.get_verbosity()
        self.bars = self.settings.is_progress_bar_enabled()
        self.settings.set_verbosity(logging.CRITICAL)
        self.settings.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        self.settings.set_verbosity(self.level)
        if self.bars:
            self.settings.enable_progress_bar()
