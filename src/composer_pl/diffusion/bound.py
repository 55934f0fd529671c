"""The variational bound by which a learned variance is trained."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def bound_term(
    residual: Float[Tensor, "b c h w"],
    log_variance: Float[Tensor, "b c h w"],
    *,
    x_0: Float[Tensor, "b c h w"],
    t: Int[Tensor, " b"],
    posterior_log_variance: Float[Tensor, "b 1 1 1"],
    posterior_x_0: Float[Tensor, "b 1 1 1"],
) -> Float[Tensor, " b"]:
    """One term of the variational bound for each sample, in bits per dimension.

    KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) after timestep 0, where the term is the negative
    log likelihood of 8-bit pixels (DDPM eq. 5 and 13).

    Args:
        residual: x_0 minus the predicted x_0.
        log_variance: The model's.
        x_0: Clean pictures in [-1, 1].
        t: Timesteps.
        posterior_log_variance: That of q.
        posterior_x_0: Coefficient of x_0 in the mean of q.
    """
    difference = posterior_x_0 * residual
    log_ratio = posterior_log_variance - log_variance
    kl = 0.5 * (log_ratio.exp() - 1 - log_ratio + difference.square() * (-log_variance).exp())
    # torch.where passes gradients of the branch not taken as 0 * that branch, so the likelihood
    # must stay finite everywhere; it is, because its probabilities are clamped.
    likelihood = _pixel_nll(x_0, residual, log_variance)
    nats = torch.where((t == 0)[:, None, None, None], likelihood, kl)
    return nats.flatten(1).mean(1) / math.log(2)


def _pixel_nll(x_0: Tensor, residual: Tensor, log_variance: Tensor) -> Tensor:
    """Negative log probability, in nats, of the 8-bit bin of each pixel (DDPM eq. 13)."""
    half_bin = 1 / 255
    inverse_std = (-0.5 * log_variance).exp()
    upper = torch.special.ndtr(inverse_std * (residual + half_bin))
    lower = torch.special.ndtr(inverse_std * (residual - half_bin))
    upper = torch.where(x_0 > 0.999, 1.0, upper)  # the outermost bins reach to infinity
    lower = torch.where(x_0 < -0.999, 0.0, lower)
    return -(upper - lower).clamp(min=1e-12).log()
