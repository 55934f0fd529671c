"""Trainable encoders of conditions. Dropping is done here, once, so that no author writes it."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from composer_pl.errors import ConfigError
from composer_pl.types import BackboneDims, ConditionSignals


class ConditionEncoder(nn.Module):
    """Base of every encoder; subclasses implement `encode`."""

    def encode(self, value: Tensor) -> ConditionSignals:
        """Encode a batch of values; the base class applies dropping afterwards."""
        raise NotImplementedError

    def forward(self, value: Tensor, keep: Bool[Tensor, " b"]) -> ConditionSignals:
        """Encode values; rows with `keep` False contribute exactly nothing.

        Dropping acts on the encoder's output, so that no bias leaks: a dropped time vector and hint
        are zeros, a dropped context token is zeros and masked out of attention.

        `encode` is given the kept rows alone on a CPU, perhaps none, and all rows elsewhere, where
        counting them would stall the queue; dropped rows hold zeros in training. It must therefore
        take any number of rows, treat each alone, and stay finite for zeros.

        Args:
            value: `(b, *spec.shape)`.
            keep: Which samples keep this condition.
        """
        if value.device.type == "cpu" and not bool(keep.all()):
            return self.encode_kept(value, keep)  # half the work at the paper's rates
        return self.encode_all(value, keep)

    def encode_kept(self, value: Tensor, keep: Bool[Tensor, " b"]) -> ConditionSignals:
        """Encode the kept rows and leave nothing in the others."""
        rows = keep.nonzero()[:, 0]
        return _scattered(_with_mask(self.encode(value[rows])), rows, len(keep))

    def encode_all(self, value: Tensor, keep: Bool[Tensor, " b"]) -> ConditionSignals:
        """Encode every row and replace those that are dropped by nothing."""
        signals = _with_mask(self.encode(value))
        time, context = signals.time, signals.context
        mask, hint = signals.context_mask, signals.hint
        if time is not None:
            time = torch.where(keep[:, None], time, 0)
        if context is not None and mask is not None:
            mask = mask & keep[:, None]
            context = torch.where(mask[:, :, None], context, 0)
        if hint is not None:
            hint = torch.where(keep[:, None, None, None], hint, 0)
        return ConditionSignals(time=time, context=context, context_mask=mask, hint=hint)


def _with_mask(signals: ConditionSignals) -> ConditionSignals:
    """Tokens without a mask are all present; masked ones are zeros."""
    context, mask = signals.context, signals.context_mask
    if context is None:
        return signals
    if mask is None:
        mask = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    else:
        context = torch.where(mask[:, :, None], context, 0)
    return ConditionSignals(
        time=signals.time, context=context, context_mask=mask, hint=signals.hint
    )


def _scattered(signals: ConditionSignals, rows: Int[Tensor, " r"], size: int) -> ConditionSignals:
    """Bring the signals of `rows` to a batch of `size` whose other rows are nothing."""

    def spread(part: Tensor | None) -> Tensor | None:
        if part is None:
            return None
        return part.new_zeros(size, *part.shape[1:]).index_copy(0, rows, part)

    return ConditionSignals(
        time=spread(signals.time),
        context=spread(signals.context),
        context_mask=spread(signals.context_mask),
        hint=spread(signals.hint),
    )


class VectorEncoder(ConditionEncoder):
    """A global vector -> a time vector and `tokens` context tokens (paper section 2.2).

    Both are two-layer perceptrons, as in unCLIP's decoder.

    Args:
        width: Size of the value, which is flattened.
        dims: What the backbone wants.
        tokens: Extra context tokens; the paper projects image embedding and palette to eight in
            all, read here as four each.
    """

    def __init__(self, width: int, dims: BackboneDims, *, tokens: int = 4):
        super().__init__()
        self.tokens = tokens
        self.to_time = nn.Sequential(
            nn.Linear(width, dims.time_dim), nn.SiLU(), nn.Linear(dims.time_dim, dims.time_dim)
        )
        self.to_context = (
            nn.Sequential(
                nn.Linear(width, dims.time_dim),
                nn.SiLU(),
                nn.Linear(dims.time_dim, tokens * dims.context_dim),
                nn.Unflatten(1, (tokens, dims.context_dim)),
            )
            if tokens
            else None
        )

    def encode(self, value: Tensor) -> ConditionSignals:
        """`(b, ...)` of `width` numbers a sample -> time and context."""
        flat = value.flatten(1)
        context = None if self.to_context is None else self.to_context(flat)
        return ConditionSignals(time=self.to_time(flat), context=context)


class HintEncoder(ConditionEncoder):
    """A local map -> `hint_channels` maps on the grid of x_t, by stacked convolutions.

    The layout follows the lab's published local encoder: a 3x3 convolution to four times the
    output width, then strided convolutions. Values arrive at `hint_scale` times the side of x_t.

    Args:
        channels: Channels of the value.
        dims: What the backbone wants.
    """

    def __init__(self, channels: int, dims: BackboneDims):
        super().__init__()
        halvings = dims.hint_scale.bit_length() - 1
        if 2 ** max(halvings, 0) != dims.hint_scale:
            raise ConfigError(
                f"Building a hint encoder: hint_scale must be a power of two, found "
                f"{dims.hint_scale}. Next: set model.backbone.hint_scale to 1, 2 or 4."
            )
        inner = 4 * dims.hint_channels
        layers: list[nn.Module] = [nn.Conv2d(channels, inner, 3, padding=1), nn.SiLU()]
        for _ in range(halvings - 1):
            layers += [nn.Conv2d(inner, inner, 3, stride=2, padding=1), nn.SiLU()]
        stride = 2 if halvings else 1
        layers.append(nn.Conv2d(inner, dims.hint_channels, 3, stride=stride, padding=1))
        self.layers = nn.Sequential(*layers)

    def encode(self, value: Tensor) -> ConditionSignals:
        """`(b, channels, H, W)` -> hint `(b, hint_channels, H / hint_scale, W / hint_scale)`."""
        return ConditionSignals(hint=self.layers(value))
