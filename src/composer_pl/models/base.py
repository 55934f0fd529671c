"""The 64 px model of Composer: conditions, U-Net and diffusion process in one plain Module.

Start reading here. Training and inference share this class; Lightning wraps it for training only.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.conditions.conditioner import Conditioner
from composer_pl.conditions.discovery import describe, rebuild
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.errors import ComposerPLError, ConfigError
from composer_pl.models.description import FORMAT, check_header, damaged, plain, tuples
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.types import BackboneDims, ConditionSignals


class ComposerModel(nn.Module):
    """A diffusion model of pictures given any subset of conditions (paper section 2).

    Args:
        backbone: Size of the U-Net.
        process: Noise schedule, prediction target, variance and loss weighting.
        conditions: The condition plugins by name.

    Raises:
        ConfigError: Names, sizes or shared facts of the conditions contradict each other.
    """

    def __init__(
        self,
        backbone: UNetConfig,
        process: ProcessConfig,
        conditions: Mapping[str, ConditionPlugin],
    ):
        super().__init__()
        self.config = backbone
        self.process_config = process
        self.plugins = dict(conditions)
        self.process = GaussianDiffusion(process)
        needed = self.process.out_channels(backbone.in_channels)
        if backbone.out_channels != needed:
            raise ConfigError(
                f"Building the model: a process with {process.variance!r} variance needs "
                f"{needed} output channels, found {backbone.out_channels}. "
                f"Next: set model.backbone.out_channels to {needed}."
            )
        local = [name for name, plugin in self.plugins.items() if plugin.scope == "local"]
        if local and not backbone.hint_channels:
            raise ConfigError(
                f"Building the model: local conditions ({', '.join(local)}) need hint channels, "
                f"found hint_channels 0. Next: set model.backbone.hint_channels to 8, say."
            )
        self.backbone = UNet(backbone)
        self.conditioner = Conditioner(self.plugins, self.backbone.dims)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the conditions, in the order of keep masks."""
        return self.conditioner.names

    @property
    def dims(self) -> BackboneDims:
        """What the backbone asks of encoders."""
        return self.backbone.dims

    def value_size(self, height: int, width: int) -> tuple[int, int]:
        """Sides of local values for pictures of the given sides."""
        return height * self.dims.hint_scale, width * self.dims.hint_scale

    def keep(self, names: tuple[str, ...] | list[str], samples: int) -> Bool[Tensor, "n b"]:
        """A keep mask that keeps the named conditions for every sample."""
        row = torch.tensor([name in names for name in self.names], dtype=torch.bool)
        return row[:, None].expand(-1, samples)

    def encode(self, values: Mapping[str, Tensor], keep: Bool[Tensor, "n b"]) -> ConditionSignals:
        """Values and keep mask -> what the backbone is told; see `Conditioner`."""
        return self.conditioner(values, keep)

    def predict(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Int[Tensor, " b"] | Float[Tensor, " b"],
        signals: ConditionSignals,
    ) -> Float[Tensor, "b out h w"]:
        """The network's raw output; `process.predict` turns it into x_0 and eps."""
        return self.backbone(x_t, t, signals)

    def loss(
        self,
        x_0: Float[Tensor, "b c h w"],
        values: Mapping[str, Tensor],
        keep: Bool[Tensor, "n b"],
        t: Int[Tensor, " b"],
        eps: Float[Tensor, "b c h w"],
    ) -> Float[Tensor, " b"]:
        """The training loss of each sample, in float32.

        Args:
            x_0: Pictures in [-1, 1].
            values: Values of every condition, `(b, *spec.shape)` each.
            keep: Which samples keep which conditions.
            t: Timesteps.
            eps: Standard normal noise.
        """
        x_t = self.process.q_sample(x_0, t, eps)
        raw = self.predict(x_t, t, self.encode(values, keep))
        return self.process.loss(raw.float(), x_0, x_t, t, eps)

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data that JSON can hold."""
        return {
            "format": FORMAT,
            "kind": "base",
            "backbone": plain(asdict(self.config)),
            "process": plain(asdict(self.process_config)),
            "conditions": {name: plain(describe(p)) for name, p in self.plugins.items()},
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> "ComposerModel":
        """Rebuild a model with fresh weights from `describe()`.

        Plugins are found through entry points by name, never by an import path from the file, so a
        foreign description runs no code of its own.

        Raises:
            CheckpointError: The description is not one, is damaged, or of another format or kind.
            UnknownConditionError: A plugin is not installed; the message names its package.
        """
        check_header(description, "base")
        try:
            backbone = UNetConfig(**tuples(description["backbone"]))
            process = ProcessConfig(**description["process"])
            conditions = {name: rebuild(entry) for name, entry in description["conditions"].items()}
            return cls(backbone, process, conditions)
        except Exception as error:  # a foreign file reaches every constructor, of plugins too
            if isinstance(error, ComposerPLError) and not isinstance(error, ConfigError):
                raise  # a plugin that is not installed, say
            raise damaged(error) from error
