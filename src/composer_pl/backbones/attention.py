"""Attention of the GLIDE U-Net, and how one that was learned on crops works on larger pictures.

Upsamplers are trained on crops and used on whole pictures (unCLIP, section 2.2, whose upsamplers
therefore have no attention). With sixteen times the positions, a softmax spreads its weight over
sixteen times as many keys: what a position found among 64 others is drowned among 1,024. Two ways
out, beside having no attention: windows of the trained size, in which every softmax covers what it
covered in training, and logits scaled with the logarithm of the number of keys, which keeps the
share of a match (Chiang and Cholak, 2022, "Overcoming a Theoretical Limitation of Self-Attention").
"""

from math import log
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from composer_pl.backbones.blocks import group_norm, zero_init

Reach = Literal["all", "windows", "log"]
"""What attention does where there are more positions than in training; see `UNetConfig`."""


class AttentionBlock(nn.Module):
    """Attention of every position over all positions and the context tokens.

    Keys and values of the context come from one biased linear map of the raw tokens and stand
    before those of the picture; one softmax covers both (GLIDE, section 4).

    Args:
        channels: Channels of the feature maps.
        head_dim: Channels of one head.
        context_dim: Width of a context token; 0 for no context.
        reach: What to do on maps larger than those of training: `all` positions see each other,
            `windows` of the trained side see themselves, `log` scales logits.
        trained_side: Side of the feature maps of training; read unless `reach` is `all`.
    """

    def __init__(
        self,
        channels: int,
        *,
        head_dim: int,
        context_dim: int,
        reach: Reach = "all",
        trained_side: int = 0,
    ):
        super().__init__()
        self.head_dim = head_dim
        self.reach = reach
        self.trained_side = trained_side
        self.norm = group_norm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.context_to_kv = nn.Linear(context_dim, 2 * channels) if context_dim else None
        self.project = zero_init(nn.Linear(channels, channels))

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        context: Float[Tensor, "b k context_dim"] | None = None,
        context_mask: Bool[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Attend.

        Args:
            x: Feature maps.
            context: Context tokens.
            context_mask: True where a token is present; None when all are.
        """
        height, width = x.shape[2:]
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (b, h w, c)
        qkv = self.to_qkv(tokens)
        context_kv = None
        if context is not None and self.context_to_kv is not None:
            context_kv = self.context_to_kv(context)
        if self.reach == "windows" and max(height, width) > self.trained_side:
            attended = self._windowed(qkv, context_kv, context_mask, (height, width))
        else:
            attended = self._attended(qkv, context_kv, context_mask)
        out = self.project(attended)
        return x + out.transpose(1, 2).unflatten(2, (height, width))

    def _attended(
        self,
        qkv: Float[Tensor, "b t d3"],
        context_kv: Float[Tensor, "b k d2"] | None,
        context_mask: Bool[Tensor, "b k"] | None,
    ) -> Float[Tensor, "b t d"]:
        """One softmax over the context and all of the given positions."""
        positions, channels = qkv.shape[1], qkv.shape[2] // 3
        q, kv = qkv.split([channels, 2 * channels], dim=2)
        mask = None
        if context_kv is not None:
            if context_mask is not None:
                mask = F.pad(context_mask, (0, positions), value=True)[:, None, None]
            kv = torch.cat([context_kv, kv], dim=1)
        k, v = kv.chunk(2, dim=2)
        trained = self.trained_side**2
        if self.reach == "log" and positions > trained > 1:
            q = q * (log(positions) / log(trained))
        attended = F.scaled_dot_product_attention(
            self._heads(q), self._heads(k), self._heads(v), attn_mask=mask
        )
        return attended.transpose(1, 2).flatten(2)

    def _windowed(
        self,
        qkv: Float[Tensor, "b t d3"],
        context_kv: Float[Tensor, "b k d2"] | None,
        context_mask: Bool[Tensor, "b k"] | None,
        size: tuple[int, int],
    ) -> Float[Tensor, "b t d"]:
        """Attention within windows that overlap by half, blended by weights that fall to the rim.

        Every window is as large as the maps of training, so its softmax is one that was trained; a
        tent of weights keeps its border from being seen.
        """
        rows, columns = (_windows(side, self.trained_side).to(qkv.device) for side in size)
        down, across = rows.shape[0], columns.shape[0]
        grid = qkv.unflatten(1, size)
        cut = grid[:, rows][:, :, :, columns]  # (b, down, s, across, s, d3)
        cut = cut.transpose(2, 3)
        several = cut.flatten(3, 4).flatten(0, 2)  # (b down across, s s, d3)
        repeats = down * across
        attended = self._attended(
            several,
            None if context_kv is None else context_kv.repeat_interleave(repeats, 0),
            None if context_mask is None else context_mask.repeat_interleave(repeats, 0),
        )
        parts = attended.unflatten(0, (len(qkv), down, across))
        parts = parts.unflatten(3, (rows.shape[1], columns.shape[1])).transpose(2, 3)
        blended = _blended(parts.flatten(1, 2), rows, size[0])  # (b, h, across, s, d)
        blended = _blended(blended.flatten(2, 3).transpose(1, 2), columns, size[1])  # (b, w, h, d)
        return blended.transpose(1, 2).flatten(1, 2)

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (-1, self.head_dim)).transpose(1, 2)  # (b, heads, tokens, d)


def _windows(length: int, side: int) -> Int[Tensor, "n s"]:
    """Positions of windows along one axis: overlapping by half, the last flush with the end."""
    side = min(side, length)
    starts = [*range(0, length - side, max(side // 2, 1)), length - side]
    return torch.tensor(starts)[:, None] + torch.arange(side)


def _blended(
    parts: Float[Tensor, "b positions ..."], windows: Int[Tensor, "n s"], length: int
) -> Float[Tensor, "b length ..."]:
    """Windows, laid one after the other along the second axis, averaged where they overlap."""
    side = windows.shape[1]
    place = torch.arange(side, device=parts.device) + 0.5
    tent = torch.minimum(place, side - place).to(parts.dtype).repeat(len(windows))
    index = windows.flatten()
    total = tent.new_zeros(length).index_add_(0, index, tent)
    weights = (tent / total[index]).view(-1, *[1] * (parts.ndim - 2))
    out = parts.new_zeros(parts.shape[0], length, *parts.shape[2:])
    return out.index_add_(1, index, parts * weights)
