"""The convolutional blocks of the GLIDE/ADM U-Net: time embedding, norms, residual block.

Layout: Dhariwal & Nichol 2021, appendix A (ADM); Nichol et al. 2022, section 4 (GLIDE).
"""

from math import gcd, log
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

_NORM_GROUPS = 32
_LONGEST_PERIOD = 10_000

_Layer = TypeVar("_Layer", nn.Conv2d, nn.Linear)


def timestep_embedding(
    t: Int[Tensor, " b"] | Float[Tensor, " b"], width: int
) -> Float[Tensor, "b width"]:
    """Sinusoids of the timestep, cosines first, then sines, in float32.

    Args:
        t: Timesteps; fractions are allowed.
        width: Even number of features.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-log(_LONGEST_PERIOD) / half * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with gcd(32, channels) groups.

    That is the 32 groups of ADM wherever 32 divides the width, and the largest power of two that
    divides it elsewhere, so that narrow models need no extra setting.
    """
    return nn.GroupNorm(gcd(_NORM_GROUPS, channels), channels)


def modulated_norm(
    norm: nn.GroupNorm,
    x: Float[Tensor, "b c h w"],
    scale: Float[Tensor, "b c"],
    shift: Float[Tensor, "b c"],
) -> Float[Tensor, "b c h w"]:
    """`norm(x) * (1 + scale) + shift`, the scale-shift norm of ADM.

    Scale and shift are one affine map a channel and sample, so they are folded into the affine
    parameters of the norm, samples counting as channels. That is one pass over the picture in place
    of two and keeps one activation less for the backward pass. A compiler fuses the plain form
    itself, and channels-last memory cannot be viewed that way.
    """
    b, c, h, w = x.shape
    gain = norm.weight * (1 + scale)
    offset = torch.addcmul(shift.to(gain.dtype), norm.bias, 1 + scale)
    if x.is_contiguous() and not torch.compiler.is_compiling():
        folded = x.view(1, b * c, h, w)
        groups = b * norm.num_groups
        return F.group_norm(folded, groups, gain.view(-1), offset.view(-1), norm.eps).view_as(x)
    plain = F.group_norm(x, norm.num_groups, eps=norm.eps)
    return torch.addcmul(offset[:, :, None, None].to(plain.dtype), plain, gain[:, :, None, None])


def zero_init(layer: _Layer) -> _Layer:
    """Zero weight and bias, so that a residual branch starts as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResBlock(nn.Module):
    """A residual block with scale-shift norm and, optionally, resampling inside.

    GroupNorm, SiLU, resampling of both branches, 3x3 convolution; GroupNorm scaled and shifted by
    the embedding, SiLU, dropout, 3x3 convolution that starts at zero.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; another number puts a 1x1 convolution into the skip.
        time_dim: Width of the embedding.
        dropout: Probability of zeroing an activation while training.
        resample: "up" doubles the side (nearest), "down" halves it (2x2 average).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        time_dim: int,
        *,
        dropout: float = 0.0,
        resample: Literal["up", "down"] | None = None,
    ):
        super().__init__()
        self.resample = resample
        self.norm_in = group_norm(in_channels)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.film = nn.Linear(time_dim, 2 * out_channels)
        self.norm_out = group_norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = zero_init(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity()
        if in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b time_dim"]
    ) -> Float[Tensor, "b out h2 w2"]:
        """Transform feature maps.

        Args:
            x: Feature maps.
            emb: The embedding after its SiLU, which all blocks share.
        """
        h = F.silu(self.norm_in(x))
        if self.resample == "up":
            h = F.interpolate(h, scale_factor=2.0, mode="nearest")
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        elif self.resample == "down":
            h = F.avg_pool2d(h, 2)
            x = F.avg_pool2d(x, 2)
        h = self.conv_in(h)
        scale, shift = self.film(emb).chunk(2, dim=1)
        h = F.silu(modulated_norm(self.norm_out, h, scale, shift))
        h = self.conv_out(self.dropout(h))
        return h.add_(self.skip(x))  # a convolution's backward pass does not read its output
