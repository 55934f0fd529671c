"""Guidance between two condition sets, with both branches of a step in one batch."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.process import GaussianDiffusion, Prediction
from composer_pl.types import ConditionSignals

Timesteps = Float[Tensor, " b"] | Int[Tensor, " b"]

Predict = Callable[[Tensor, Tensor, ConditionSignals], Tensor]
"""A conditional network: `(x_t, t, signals) -> raw_output`."""

Denoiser = Callable[[Tensor, Tensor], Prediction]
"""What samplers call: `(x_t, t) -> Prediction`; `t` holds one int or float a sample."""


def guided(
    predict: Predict,
    c2: ConditionSignals,
    c1: ConditionSignals | None,
    weight: float,
    process: GaussianDiffusion,
    *,
    clip_x_0: bool = True,
) -> Denoiser:
    """Build the denoiser `eps = weight eps(c2) + (1 - weight) eps(c1)` (paper, section 2).

    `c1` with no conditions is classifier-free guidance; any other `c1` moves from its conditions
    towards those of `c2`. The learned variance is that of `c2`. Because the two weights sum to 1,
    combining v is combining eps.

    Args:
        predict: The network.
        c2: What is guided towards, encoded once for all steps.
        c1: What is guided away from; None runs `c2` alone.
        weight: 1 runs `c2` alone, more than 1 goes beyond it.
        process: How the network's output is read.
        clip_x_0: Clamp the predicted x_0 to [-1, 1]; leave it out for inversion, where a clamp
            loses what should come back.
    """
    if c1 is None or weight == 1:

        def denoise_one(x_t: Tensor, t: Tensor) -> Prediction:
            return process.predict(predict(x_t, t, c2), x_t, t, clip_x_0=clip_x_0)

        return denoise_one

    both = concat_signals(c2, c1)

    def denoise_two(x_t: Tensor, t: Tensor) -> Prediction:
        raw = predict(torch.cat([x_t, x_t]), torch.cat([t, t]), both).to(x_t.dtype)
        raw_2, raw_1 = raw.chunk(2)
        channels = x_t.shape[1]
        mean = torch.lerp(raw_1[:, :channels], raw_2[:, :channels], weight)
        combined = torch.cat([mean, raw_2[:, channels:]], 1)
        return process.predict(combined, x_t, t, clip_x_0=clip_x_0)

    return denoise_two


def concat_signals(a: ConditionSignals, b: ConditionSignals) -> ConditionSignals:
    """Join two batches of signals, `a` first.

    Where only one has a time vector or hint the other gets zeros, which is what a dropped condition
    contributes. Shorter or missing contexts are filled with zero tokens that are masked out.
    """
    size_a = _batch_size(a) or _batch_size(b)
    size_b = _batch_size(b) or size_a
    if size_a is None or size_b is None:
        return ConditionSignals()
    context, mask = None, None
    if a.context is not None or b.context is not None:
        tokens = max(_tokens(a), _tokens(b))
        like = a.context if a.context is not None else b.context
        assert like is not None
        pairs = [_padded(a, size_a, tokens, like), _padded(b, size_b, tokens, like)]
        context = torch.cat([pair[0] for pair in pairs])
        mask = torch.cat([pair[1] for pair in pairs])
    return ConditionSignals(
        time=_cat(a.time, b.time, size_a, size_b),
        context=context,
        context_mask=mask,
        hint=_cat(a.hint, b.hint, size_a, size_b),
    )


def _batch_size(signals: ConditionSignals) -> int | None:
    for value in (signals.time, signals.context, signals.hint):
        if value is not None:
            return len(value)
    return None


def _tokens(signals: ConditionSignals) -> int:
    return 0 if signals.context is None else signals.context.shape[1]


def _cat(a: Tensor | None, b: Tensor | None, size_a: int, size_b: int) -> Tensor | None:
    if a is None and b is None:
        return None
    if a is None:
        assert b is not None
        a = b.new_zeros(size_a, *b.shape[1:])
    if b is None:
        b = a.new_zeros(size_b, *a.shape[1:])
    return torch.cat([a, b])


def _padded(
    signals: ConditionSignals, size: int, tokens: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Context and mask of `signals`, brought to `tokens` tokens."""
    context = like.new_zeros(size, tokens, like.shape[2])
    mask = torch.zeros(size, tokens, dtype=torch.bool, device=like.device)
    if signals.context is not None:
        count = signals.context.shape[1]
        context[:, :count] = signals.context
        mask[:, :count] = True if signals.context_mask is None else signals.context_mask
    return context, mask
