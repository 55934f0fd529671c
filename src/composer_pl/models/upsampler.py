"""The upsampler of Composer: a diffusion model of large pictures given small ones.

The small picture is brought to the target size by antialiased bicubic interpolation and
concatenated to x_t (unCLIP; Huang et al., 2023, describe theirs as unCLIP's). Noise of a known
level on the small picture hides its faults, those of the base model at inference (Ho et al., 2022,
"Cascaded Diffusion Models"). Conditions are optional; the paper's upsamplers have none.
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import pi
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from composer_pl.backbones.blocks import timestep_embedding
from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.conditions.conditioner import Conditioner
from composer_pl.conditions.discovery import describe, rebuild
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.errors import ComposerPLError, ConfigError
from composer_pl.models.degradation import blind_degraded, gaussian_blurred
from composer_pl.models.description import FORMAT, check_header, damaged, plain, tuples
from composer_pl.models.upsampling_config import UpsamplingConfig
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.types import BackboneDims, ConditionSignals

PICTURE_CHANNELS = 3
_LEVEL_PERIODS = 1000  # level 1 is embedded as timestep 1000 is


class UpsamplerModel(nn.Module):
    """A diffusion model of large pictures given small ones, and any subset of conditions.

    Args:
        backbone: Size of the U-Net; `in_channels` 6 and, for sharp pictures at any size, no
            attention. `resolution` is the side of the large pictures.
        process: Noise schedule, prediction target, variance and loss weighting.
        conditions: The condition plugins by name; none makes the paper's upsampler.
        upsampling: Factor and degradation.

    Raises:
        ConfigError: Sizes, or shared facts of the conditions, contradict each other.
    """

    def __init__(
        self,
        backbone: UNetConfig,
        process: ProcessConfig,
        conditions: Mapping[str, ConditionPlugin],
        upsampling: UpsamplingConfig,
    ):
        super().__init__()
        self.config = backbone
        self.process_config = process
        self.upsampling = upsampling
        self.plugins = dict(conditions)
        self.process = GaussianDiffusion(process)
        self._check_sizes()
        self.backbone = UNet(backbone)
        self.conditioner = Conditioner(self.plugins, self.backbone.dims) if self.plugins else None
        width, time_dim = backbone.channels, self.backbone.dims.time_dim
        self.level = nn.Sequential(
            nn.Linear(width, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim)
        )

    def _check_sizes(self) -> None:
        backbone, factor = self.config, self.upsampling.factor
        doing = "Building the upsampler"
        if backbone.in_channels != 2 * PICTURE_CHANNELS:
            raise ConfigError(
                f"{doing}: x_t and the small picture have {2 * PICTURE_CHANNELS} channels, found "
                f"in_channels {backbone.in_channels}. "
                f"Next: set model.backbone.in_channels to {2 * PICTURE_CHANNELS}."
            )
        needed = self.process.out_channels(PICTURE_CHANNELS)
        if backbone.out_channels != needed:
            raise ConfigError(
                f"{doing}: a process with {self.process_config.variance!r} variance needs "
                f"{needed} output channels, found {backbone.out_channels}. "
                f"Next: set model.backbone.out_channels to {needed}."
            )
        if backbone.resolution % factor:
            raise ConfigError(
                f"{doing}: the resolution must be a multiple of the factor {factor}, found "
                f"{backbone.resolution}. Next: change model.backbone.resolution."
            )
        local = [name for name, plugin in self.plugins.items() if plugin.scope == "local"]
        if local and not backbone.hint_channels:
            raise ConfigError(
                f"{doing}: local conditions ({', '.join(local)}) need hint channels, "
                f"found hint_channels 0. Next: set model.backbone.hint_channels to 8, say."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the conditions, in the order of keep masks."""
        return tuple(self.plugins)

    @property
    def dims(self) -> BackboneDims:
        """What the backbone asks of encoders."""
        return self.backbone.dims

    @property
    def low_resolution(self) -> int:
        """Side of the small pictures trained on."""
        return self.config.resolution // self.upsampling.factor

    def value_size(self, height: int, width: int) -> tuple[int, int]:
        """Sides of local values for large pictures of the given sides."""
        return height * self.dims.hint_scale, width * self.dims.hint_scale

    def keep(self, names: tuple[str, ...] | list[str], samples: int) -> Bool[Tensor, "n b"]:
        """A keep mask that keeps the named conditions for every sample."""
        row = torch.tensor([name in names for name in self.names], dtype=torch.bool)
        return row[:, None].expand(-1, samples)

    # -- the small picture -----------------------------------------------------------------------

    def enlarge(self, low: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 big_h big_w"]:
        """Bring small pictures to the target size: antialiased bicubic, as Karlo does."""
        factor = float(self.upsampling.factor)
        return F.interpolate(low.float(), scale_factor=factor, mode="bicubic", antialias=True)

    def noised(
        self,
        low: Float[Tensor, "b 3 h w"],
        level: Float[Tensor, " b"],
        noise: Float[Tensor, "b 3 h w"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Small pictures with noise of a level in 0..1, variance preserving; 0 leaves them."""
        angle = level.to(low)[:, None, None, None] * (pi / 2)
        return angle.cos() * low + angle.sin() * noise

    def shown(
        self,
        low: Float[Tensor, "b 3 h w"],
        picture: Float[Tensor, "b 3 big_h big_w"],
        keys: Int[Tensor, " b"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Small pictures as training shows them, before their noise.

        Args:
            low: Small pictures in [-1, 1].
            picture: The same, large.
            keys: One key a sample, from which corruptions are drawn.
        """
        config = self.upsampling
        with torch.autocast(low.device.type, enabled=False):  # pictures keep their precision
            if config.degradation != "none":
                low = blind_degraded(
                    picture, factor=config.factor, keys=keys, strength=config.degradation
                ).to(low)
            return gaussian_blurred(low, config.blur_sigma)

    def diffused(
        self, picture: Float[Tensor, "b 3 big_h big_w"], low: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 big_h big_w"]:
        """What is noised and predicted for a large picture: itself, or the scaled residual."""
        scale = self.upsampling.residual
        return (picture - self.enlarge(low)) * scale if scale else picture

    def undiffused(
        self, x_0: Float[Tensor, "b 3 big_h big_w"], low: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 big_h big_w"]:
        """The large picture that a sample stands for; the inverse of `diffused`."""
        scale = self.upsampling.residual
        return self.enlarge(low) + x_0 / scale if scale else x_0

    # -- the network -----------------------------------------------------------------------------

    def encode(self, values: Mapping[str, Tensor], keep: Bool[Tensor, "n b"]) -> ConditionSignals:
        """Values and keep mask -> signals of the conditions; see `Conditioner`."""
        return ConditionSignals() if self.conditioner is None else self.conditioner(values, keep)

    def with_level(self, signals: ConditionSignals, level: Float[Tensor, " b"]) -> ConditionSignals:
        """Add the noise level of the small pictures to what the time embedding is told."""
        features = timestep_embedding(_LEVEL_PERIODS * level, self.config.channels)
        told = self.level(features.to(next(self.level.parameters()).dtype))
        return ConditionSignals(
            time=told if signals.time is None else told + signals.time,
            context=signals.context,
            context_mask=signals.context_mask,
            hint=signals.hint,
        )

    def predict(
        self,
        x_t: Float[Tensor, "b 3 big_h big_w"],
        t: Int[Tensor, " b"] | Float[Tensor, " b"],
        enlarged: Float[Tensor, "b 3 big_h big_w"],
        signals: ConditionSignals,
    ) -> Float[Tensor, "b out big_h big_w"]:
        """The network's raw output; `process.predict` turns it into x_0 and eps.

        Args:
            x_t: Noisy large pictures.
            t: Timesteps.
            enlarged: Small pictures after `noised` and `enlarge`.
            signals: What `with_level` returned.
        """
        return self.backbone(torch.cat([x_t, enlarged.to(x_t.dtype)], dim=1), t, signals)

    def loss(
        self,
        x_0: Float[Tensor, "b 3 big_h big_w"],
        low: Float[Tensor, "b 3 h w"],
        t: Int[Tensor, " b"],
        eps: Float[Tensor, "b 3 big_h big_w"],
        *,
        level: Float[Tensor, " b"],
        low_noise: Float[Tensor, "b 3 h w"],
        values: Mapping[str, Tensor] | None = None,
        keep: Bool[Tensor, "n b"] | None = None,
    ) -> Float[Tensor, " b"]:
        """The training loss of each sample, in float32.

        Args:
            x_0: Large pictures in [-1, 1].
            low: The same pictures, small, as `shown` gives them, in [-1, 1].
            t: Timesteps.
            eps: Standard normal noise.
            level: Noise level of each small picture, drawn from 0 to `upsampling.max_level`.
            low_noise: Standard normal noise for the small pictures.
            values: Values of conditions, `(b, *spec.shape)` each; None for no condition.
            keep: Which samples keep which conditions; None keeps all of `values`.
        """
        given = {} if values is None else values
        if keep is None:
            keep = self.keep(list(given), len(x_0)).to(x_0.device)
        signals = self.with_level(self.encode(given, keep), level)
        enlarged = self.enlarge(self.noised(low, level, low_noise))
        x_0 = self.diffused(x_0, low)
        x_t = self.process.q_sample(x_0, t, eps)
        raw = self.predict(x_t, t, enlarged, signals)
        return self.process.loss(raw.float(), x_0, x_t, t, eps)

    # -- description -----------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data that JSON can hold."""
        return {
            "format": FORMAT,
            "kind": "upsampler",
            "backbone": plain(asdict(self.config)),
            "process": plain(asdict(self.process_config)),
            "conditions": {name: plain(describe(p)) for name, p in self.plugins.items()},
            "upsampling": plain(asdict(self.upsampling)),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> "UpsamplerModel":
        """Rebuild an upsampler with fresh weights from `describe()`, running no foreign code.

        Raises:
            CheckpointError: The description is not one, is damaged, or of another kind or format.
            UnknownConditionError: A plugin is not installed; the message names its package.
        """
        check_header(description, "upsampler")
        try:
            backbone = UNetConfig(**tuples(description["backbone"]))
            process = ProcessConfig(**description["process"])
            conditions = {name: rebuild(entry) for name, entry in description["conditions"].items()}
            return cls(backbone, process, conditions, UpsamplingConfig(**description["upsampling"]))
        except Exception as error:  # a foreign file reaches every constructor, of plugins too
            if isinstance(error, ComposerPLError) and not isinstance(error, ConfigError):
                raise  # a plugin that is not installed, say
            raise damaged(error) from error


def requantised(
    pictures: Float[Tensor, "b 3 h w"],
) -> Float[Tensor, "b 3 h w"]:
    """Pictures in [-1, 1] rounded to the 8 bits of a file, so that a saved one gives the same."""
    levels = ((pictures.float() + 1) / 2).clamp(0, 1).mul(255).round()
    return levels / 255 * 2 - 1
