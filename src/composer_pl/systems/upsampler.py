"""Trains an upsampler: crops of large pictures, and the same crops made small and corrupted."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import AdamW

from composer_pl.backbones.unet import UNetConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.storage import load_upsampler
from composer_pl.models.upsampler import UpsamplerModel, requantised
from composer_pl.models.upsampling import UPSAMPLING, check_manner, upsample
from composer_pl.models.upsampling_config import UpsamplingConfig
from composer_pl.randomness import keyed_normal, keyed_uniform
from composer_pl.systems.learning_rate import LearningRate
from composer_pl.systems.metrics import LossSplit
from composer_pl.systems.system import OptimizerFactory, System
from composer_pl.types import Batch

PAPER_256 = UNetConfig(
    channels=384,
    channel_mult=(1, 2, 3, 4),
    num_res_blocks=3,
    attention_levels=(3,),
    head_dim=64,
    context_dim=0,
    hint_channels=0,
    hint_scale=1,
    dropout=0.1,
    in_channels=6,
    out_channels=3,
    resolution=256,
    trained_side=64,
    attention_reach="windows",
)
"""The paper's upsampler from 64 to 256 px, 1.1 billion parameters; `configs/upsample-256.yaml`."""


class UpsamplingDraws(NamedTuple):
    """What one training step draws, a pure function of the keys, on the CPU."""

    top: Int[Tensor, " b"]
    left: Int[Tensor, " b"]
    t: Int[Tensor, " b"]
    level: Float[Tensor, " b"]
    eps: Float[Tensor, "b 3 c c"]
    low_noise: Float[Tensor, "b 3 s s"]


class UpsamplerSystem(System):
    """Trains an upsampler without conditions, as the paper's are.

    Args:
        backbone: Size of the U-Net; `trained_side` is the side of the crops.
        process: Noise schedule, prediction target, variance and loss weighting.
        upsampling: Factor and degradation.
        optimizer: Made from the parameters; by default AdamW as unCLIP's upsamplers were trained.
        learning_rate: Warm-up and decay of the optimiser's `lr`.
        sampling: How previews and `predict` draw pictures.
        compile: Compile the backbone with torch.compile; minutes once, then faster steps on a GPU.
        start: Folder, checkpoint or name of an upsampler with the same layers, whose weights
            training begins from.
        seed: Seed of the network's own dropout; set by `seed_everything`.
    """

    def __init__(
        self,
        backbone: UNetConfig = PAPER_256,
        process: ProcessConfig = ProcessConfig(),  # noqa: B008
        upsampling: UpsamplingConfig = UpsamplingConfig(factor=4),  # noqa: B008
        optimizer: OptimizerFactory = lambda p: AdamW(p, lr=1.2e-4, weight_decay=0.0, fused=True),
        learning_rate: LearningRate = LearningRate(),  # noqa: B008
        sampling: SamplingRecipe = UPSAMPLING,
        compile: bool = False,
        start: str | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.model = UpsamplerModel(backbone, process, {}, upsampling)
        check_manner(self.model, sampling, None)
        self.sampling = sampling
        if start is not None:
            _take_weights(self.model, start)
        self.prepare(
            names=(),
            num_timesteps=self.model.process.schedule.num_timesteps,
            optimizer=optimizer,
            learning_rate=learning_rate,
            seed=seed,
            compiled=self.model.backbone if compile else None,
        )

    @property
    def about(self) -> str:
        """From which size to which."""
        model = self.model
        return (
            f"an upsampler from {model.low_resolution} to {model.config.resolution} px, trained on "
            f"crops of {model.config.crop} px"
        )

    def small(self, pictures: Float[Tensor, "b 3 big_h big_w"]) -> Float[Tensor, "b 3 h w"]:
        """Whole pictures made small: antialiased bicubic, as data is cut, rounded to 8 bits."""
        scale = 1 / self.model.upsampling.factor
        shrunk = F.interpolate(pictures.float(), scale_factor=scale, mode="bicubic", antialias=True)
        return requantised(shrunk).to(pictures.dtype)

    def draw(self, batch: Batch) -> UpsamplingDraws:
        """Crop, timestep, noise level and noises of each sample: a pure function of its key."""
        keys, model = batch["key"].cpu(), self.model
        side, factor = model.config.crop, model.upsampling.factor
        steps, size = model.process.schedule.num_timesteps, batch["image"].shape[2:]
        # Crops begin at pixels of the small picture, so that both hold the same part.
        places = torch.tensor([(length - side) // factor + 1 for length in size])
        corner = (keyed_uniform(keys, "crop", (2,)) * places).long().clamp(max=places - 1) * factor
        return UpsamplingDraws(
            top=corner[:, 0],
            left=corner[:, 1],
            t=(keyed_uniform(keys, "timestep") * steps).long().clamp(max=steps - 1),
            level=keyed_uniform(keys, "level") * model.upsampling.max_level,
            eps=keyed_normal(keys, "eps", (3, side, side)),
            low_noise=keyed_normal(keys, "low", (3, side // factor, side // factor)),
        )

    def losses(self, batch: Batch, split: LossSplit) -> Float[Tensor, " b"]:
        """The loss of each sample, entered into `split`."""
        model, picture = self.model, batch["image"]
        drawn = self.draw(batch)
        side, factor = model.config.crop, model.upsampling.factor
        low = crops(self.small(picture), drawn.top // factor, drawn.left // factor, side // factor)
        x_0 = crops(picture, drawn.top, drawn.left, side)
        given: dict[str, Any] = {
            name: getattr(drawn, name).to(x_0.device, non_blocking=True)
            for name in ("t", "level", "eps", "low_noise")
        }
        t, eps = given.pop("t"), given.pop("eps")
        low = model.shown(low, x_0, batch["key"].cpu())
        loss = model.loss(x_0, low, t, eps, **given)
        split.add(loss, torch.zeros(0, len(loss), dtype=torch.bool, device=loss.device), t)
        return loss

    def enlarge(
        self, low: Float[Tensor, "b 3 h w"], *, keys: Int[Tensor, " b"]
    ) -> Float[Tensor, "b 3 big_h big_w"]:
        """Draw a large picture for each small one, by the system's recipe."""
        return upsample(self.model, low, self.sampling, keys=keys.cpu())

    def predict_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, "b 3 h w"]:
        """Large pictures in [-1, 1] from the pictures of the batch made small."""
        return self.enlarge(self.small(batch["image"]), keys=batch["key"])


def crops(
    pictures: Float[Tensor, "b c h w"], top: Int[Tensor, " b"], left: Int[Tensor, " b"], side: int
) -> Float[Tensor, "b c side side"]:
    """A square of each picture, from its own corner."""
    corners = zip(top.tolist(), left.tolist(), strict=True)
    parts = [p[:, y : y + side, x : x + side] for p, (y, x) in zip(pictures, corners, strict=True)]
    return torch.stack(parts)


def _take_weights(model: UpsamplerModel, path: str) -> None:
    """Give a model the weights of another one.

    Raises:
        CheckpointError: There is no upsampler, or its layers differ.
    """
    weights = load_upsampler(path).state_dict()
    shapes = {name: value.shape for name, value in weights.items()}
    for name, value in model.state_dict().items():
        if shapes.pop(name, None) != value.shape:
            shapes[name] = value.shape
    if shapes:
        raise CheckpointError(
            f"Starting from the weights of {path!r}: one with the layers of model.backbone "
            f"was expected, found {len(shapes)} that differ (first {next(iter(shapes))}). "
            f"Next: leave model.start out, or configure model.backbone alike."
        )
    model.load_state_dict(weights)
