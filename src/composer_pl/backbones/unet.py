"""The U-Net of Composer's 64 px base model: GLIDE's layout with Composer's conditions.

Huang et al. 2023, section 2.2. Global conditions are added to the time embedding and joined to the
context of every attention block; local conditions are concatenated to x_t as a hint.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from composer_pl.backbones.attention import AttentionBlock
from composer_pl.backbones.blocks import (
    ResBlock,
    group_norm,
    timestep_embedding,
    zero_init,
)
from composer_pl.backbones.unet_config import UNetConfig
from composer_pl.errors import ConfigError
from composer_pl.types import BackboneDims, ConditionSignals


class Stage(nn.Module):
    """A residual block, after it attention where the level has it, after it up-sampling."""

    def __init__(
        self, res: ResBlock, attention: AttentionBlock | None = None, up: ResBlock | None = None
    ):
        super().__init__()
        self.res = res
        self.attention = attention
        self.up = up

    def forward(
        self, x: Tensor, emb: Tensor, context: Tensor | None, context_mask: Tensor | None
    ) -> Tensor:
        """Run what the stage has of the three."""
        x = self.res(x, emb)
        if self.attention is not None:
            x = self.attention(x, context, context_mask)
        return x if self.up is None else self.up(x, emb)


class UNet(nn.Module):
    """Predicts the noise (and a variance fraction) of x_t, given t and condition signals.

    Args:
        config: Sizes.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        width, time_dim, folded = config.channels, 4 * config.channels, config.patch_size**2
        widths = [width * mult for mult in config.channel_mult]
        last = len(widths) - 1

        def res(
            in_channels: int, out_channels: int, resample: Literal["up", "down"] | None = None
        ) -> ResBlock:
            return ResBlock(
                in_channels, out_channels, time_dim, dropout=config.dropout, resample=resample
            )

        def attention(channels: int, wanted: bool, level: int) -> AttentionBlock | None:
            if not wanted:
                return None
            return AttentionBlock(
                channels,
                head_dim=config.head_dim,
                context_dim=config.context_dim,
                reach=config.attention_reach,
                trained_side=config.crop // (config.patch_size * 2**level),
            )

        self.time = nn.Sequential(
            nn.Linear(width, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim)
        )
        self.stem = nn.Conv2d(
            (config.in_channels + config.hint_channels) * folded, width, 3, padding=1
        )

        # Every output of the stem and of an encoder stage is stored and read once by the decoder.
        channels, stored = width, [width]
        encoder: list[Stage] = []
        for level, out in enumerate(widths):
            for _ in range(config.num_res_blocks):
                attends = level in config.attention_levels
                encoder.append(Stage(res(channels, out), attention(out, attends, level)))
                channels = out
                stored.append(out)
            if level < last:
                encoder.append(Stage(res(out, out, "down")))
                stored.append(out)
        self.encoder = nn.ModuleList(encoder)

        self.middle = nn.ModuleList(
            [
                Stage(
                    res(channels, channels),
                    attention(channels, bool(config.attention_levels), last),
                ),
                Stage(res(channels, channels)),
            ]
        )

        decoder: list[Stage] = []
        for level, out in reversed(list(enumerate(widths))):
            for block in range(config.num_res_blocks + 1):
                attends = level in config.attention_levels
                up = level > 0 and block == config.num_res_blocks
                decoder.append(
                    Stage(
                        res(channels + stored.pop(), out),
                        attention(out, attends, level),
                        res(out, out, "up") if up else None,
                    )
                )
                channels = out
        self.decoder = nn.ModuleList(decoder)

        self.norm_out = group_norm(channels)
        self.head = zero_init(nn.Conv2d(channels, config.out_channels * folded, 3, padding=1))

    @property
    def dims(self) -> BackboneDims:
        """What condition encoders must produce."""
        return BackboneDims(
            time_dim=4 * self.config.channels,
            context_dim=self.config.context_dim,
            hint_channels=self.config.hint_channels,
            hint_scale=self.config.hint_scale,
        )

    def forward(
        self,
        x_t: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"] | Int[Tensor, " b"],
        signals: ConditionSignals,
    ) -> Float[Tensor, "b out h w"]:
        """Predict.

        Args:
            x_t: Noisy pictures; sides are multiples of `config.side_multiple`.
            t: Timesteps, 0 for the least noise.
            signals: What the conditions say; a None hint counts as zeros.

        Raises:
            ConfigError: The sides of x_t do not fit the number of levels.
        """
        config = self.config
        height, width = x_t.shape[2:]
        if height % config.side_multiple or width % config.side_multiple:
            raise ConfigError(
                f"Running the U-Net: the sides of a picture must be multiples of "
                f"{config.side_multiple}, found {height} x {width}. "
                f"Next: choose sides that are."
            )
        dtype = (
            self.stem.weight.dtype
        )  # inputs follow, so that a bf16 copy of the network just runs
        emb = self.time(timestep_embedding(t, config.channels).to(dtype))
        if signals.time is not None:
            emb = emb + signals.time.to(dtype)
        emb = F.silu(emb)

        context = None if signals.context is None else signals.context.to(dtype)
        x_t = x_t.to(dtype)
        if config.hint_channels:
            hint = signals.hint
            if hint is None:
                hint = x_t.new_zeros(x_t.shape[0], config.hint_channels, height, width)
            x_t = torch.cat([x_t, hint.to(dtype)], dim=1)
        x = self.stem(F.pixel_unshuffle(x_t, config.patch_size))
        stored = [x]
        for stage in self.encoder:
            x = stage(x, emb, context, signals.context_mask)
            stored.append(x)
        for stage in self.middle:
            x = stage(x, emb, context, signals.context_mask)
        for stage in self.decoder:
            x = torch.cat([x, stored.pop()], dim=1)
            x = stage(x, emb, context, signals.context_mask)
        return F.pixel_shuffle(self.head(F.silu(self.norm_out(x))), config.patch_size)
