"""Guidance: one estimate of the noise from several, each under conditions of its own.

`eps = sum_k weight_k eps(x_t, signals_k)` with weights that sum to 1 at every pixel. The paper's
two sets (section 2), weights of single conditions and regions are all of this form. As the weights
sum to 1, combining v, or x_0, is combining eps. All branches of a step run in one batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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

Weight = float | Tensor
"""A number, or a map that broadcasts to `(b, c, h, w)`."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One call of the network.

    Attributes:
        signals: What it is told, for every sample of the batch; encoded once for all steps.
        weight: Its share of the answer.
        unguided: Its share where guidance is 1, which rescaling compares with.
    """

    signals: ConditionSignals
    weight: Weight
    unguided: Weight = 0.0


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The branches of a step. The first one's learned variance is taken.

    Attributes:
        branches: At least one; their weights sum to 1.
        samples: Size of the batch.
    """

    branches: Sequence[Branch]
    samples: int
    joined: ConditionSignals = field(init=False)

    def __post_init__(self) -> None:
        """Join the signals once, not in every step."""
        parts = [branch.signals for branch in self.branches]
        object.__setattr__(self, "joined", join_signals(parts, [self.samples] * len(parts)))


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
    towards those of `c2`. The learned variance is that of `c2`.

    Args:
        predict: The network.
        c2: What is guided towards, encoded once for all steps.
        c1: What is guided away from; None runs `c2` alone.
        weight: 1 runs `c2` alone, more than 1 goes beyond it.
        process: How the network's output is read.
        clip_x_0: Clamp the predicted x_0 to [-1, 1]; leave it out for inversion, where a clamp
            loses what should come back.
    """
    branches = [Branch(signals=c2, weight=weight, unguided=1.0)]
    if c1 is None or weight == 1:
        branches = [Branch(signals=c2, weight=1.0, unguided=1.0)]
    else:
        branches.append(Branch(signals=c1, weight=1 - weight))
    samples = next((n for b in branches if (n := _batch_size(b.signals))), 0)
    mixture = Mixture(branches=branches, samples=samples)
    return combined(predict, lambda t: mixture, process, clip_x_0=clip_x_0)


def combined(
    predict: Predict,
    mixture_at: Callable[[Tensor], Mixture],
    process: GaussianDiffusion,
    *,
    clip_x_0: bool = True,
    threshold: float | None = None,
    rescale: float = 0.0,
) -> Denoiser:
    """Build the denoiser of a mixture.

    Args:
        predict: The network.
        mixture_at: The mixture of a step, given its timesteps, which are alike for all samples.
        process: How the network's output is read.
        clip_x_0: Clamp the predicted x_0 to [-1, 1].
        threshold: Dynamic thresholding instead of clamping: this percentile, in (0, 1], of each
            sample's absolute x_0 becomes its range, where it exceeds 1 (Saharia et al., 2022,
            "Imagen", section 2.3).
        rescale: Share phi by which the spread of the guided answer is brought to that of the
            unguided one (Lin et al., 2023, section 3.4), on what the network predicts.
    """

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        mixture = mixture_at(t)
        branches = mixture.branches
        count, channels = len(branches), x_t.shape[1]
        if count == 1:
            raw = predict(x_t, t, branches[0].signals)
        else:
            copies = (x_t.repeat(count, 1, 1, 1), t.repeat(count))
            answers = predict(*copies, mixture.joined).to(x_t.dtype).chunk(count)
            means = [answer[:, :channels] for answer in answers]
            mean = _weighted(means, [branch.weight for branch in branches])
            if rescale:
                plain = _weighted(means, [branch.unguided for branch in branches])
                mean = mean * (1 - rescale + rescale * _spread(plain) / _spread(mean))
            raw = torch.cat([mean, answers[0][:, channels:]], 1)
        if threshold is None:
            return process.predict(raw, x_t, t, clip_x_0=clip_x_0)
        return _thresholded(process.predict(raw, x_t, t), x_t, t, process, threshold)

    return denoise


def _weighted(means: Sequence[Tensor], weights: Sequence[Weight]) -> Tensor:
    """The weighted sum, as differences from the last, so that equal answers come back exactly."""
    total = means[-1]
    for mean, weight in zip(means[:-1], weights[:-1], strict=True):
        total = total + weight * (mean - means[-1])
    return total


def _spread(mean: Tensor) -> Tensor:
    return mean.flatten(1).std(1).clamp(min=1e-8)[:, None, None, None]


def _thresholded(
    prediction: Prediction,
    x_t: Tensor,
    t: Tensor,
    process: GaussianDiffusion,
    percentile: float,
) -> Prediction:
    size = torch.quantile(prediction.x_0.float().abs().flatten(1), percentile, dim=1).clamp(min=1)
    size = size.to(x_t)[:, None, None, None]
    x_0 = prediction.x_0.clamp(-size, size) / size
    alpha, sigma = process.alpha_sigma(t, x_t)
    eps = (x_t - alpha * x_0) / sigma
    return Prediction(x_0=x_0, eps=eps, log_variance=prediction.log_variance)


# -- signals of several branches -------------------------------------------------------------------


def concat_signals(a: ConditionSignals, b: ConditionSignals) -> ConditionSignals:
    """Join two batches of signals, `a` first; one that holds nothing counts as long as the other.

    See `join_signals`.
    """
    size_a = _batch_size(a) or _batch_size(b)
    size_b = _batch_size(b) or size_a
    if size_a is None or size_b is None:
        return ConditionSignals()
    return join_signals([a, b], [size_a, size_b])


def join_signals(parts: Sequence[ConditionSignals], sizes: Sequence[int]) -> ConditionSignals:
    """Join batches of signals along the batch.

    Where only some have a time vector or hint the others get zeros, which is what a dropped
    condition contributes. Shorter or missing contexts are filled with zero tokens that are masked
    out.

    Args:
        parts: The batches.
        sizes: Samples of each; a batch that holds nothing does not tell.
    """
    context, mask = None, None
    tokens = [part.context.shape[1] for part in parts if part.context is not None]
    if tokens:
        like = next(part.context for part in parts if part.context is not None)
        assert like is not None
        pairs = [
            _padded(part, size, max(tokens), like) for part, size in zip(parts, sizes, strict=True)
        ]
        context = torch.cat([pair[0] for pair in pairs])
        mask = torch.cat([pair[1] for pair in pairs])
    return ConditionSignals(
        time=_cat([part.time for part in parts], sizes),
        context=context,
        context_mask=mask,
        hint=_cat([part.hint for part in parts], sizes),
    )


def _batch_size(signals: ConditionSignals) -> int | None:
    for value in (signals.time, signals.context, signals.hint):
        if value is not None:
            return len(value)
    return None


def _cat(values: Sequence[Tensor | None], sizes: Sequence[int]) -> Tensor | None:
    like = next((value for value in values if value is not None), None)
    if like is None:
        return None
    return torch.cat(
        [
            like.new_zeros(size, *like.shape[1:]) if value is None else value
            for value, size in zip(values, sizes, strict=True)
        ]
    )


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
