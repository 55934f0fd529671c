"""The Gaussian diffusion process: noising, conversions between eps, v and x_0, and the loss."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.bound import bound_term
from composer_pl.diffusion.schedule import NoiseSchedule, make_schedule
from composer_pl.errors import ConfigError

VLB_WEIGHT = 1e-3
"""Weight of the variational bound in L_hybrid (improved DDPM, section 3.1).

The bound of a whole chain is T times the mean of its terms, so a single term is weighted by
`VLB_WEIGHT * T`, which is 1 for 1000 timesteps. Terms are in bits per dimension.
"""


@dataclass(frozen=True)
class ProcessConfig:
    """What the network predicts and how its loss is weighted.

    Args:
        schedule: Noise schedule. Paper: cosine for the 64 px model.
        num_timesteps: Training timesteps.
        prediction: Whether the network predicts the noise (`eps`, as GLIDE and Composer), the
            velocity `v = alpha eps - sigma x_0` (Salimans and Ho, 2022), or the clean data (`x_0`,
            as the prior of unCLIP).
        variance: `fixed` keeps the posterior's variance and gives the network three outputs.
            `learned_range` gives it three more, which place the log variance between its two
            bounds (improved DDPM, eq. 15).
        min_snr_gamma: Gamma of min-SNR weighting (Hang et al., 2023; they use 5); null for none.
    """

    schedule: Literal["cosine", "linear"] = "cosine"
    num_timesteps: int = 1000
    prediction: Literal["eps", "v", "x_0"] = "eps"
    variance: Literal["fixed", "learned_range"] = "fixed"
    min_snr_gamma: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that a type checker would have caught."""
        choices = {"prediction": ("eps", "v", "x_0"), "variance": ("fixed", "learned_range")}
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(
                    f"Configuring the diffusion process: {name} must be {' or '.join(known)}, "
                    f"found {value!r}. Next: correct process.{name}."
                )
        if self.min_snr_gamma is not None and not self.min_snr_gamma > 0:
            raise ConfigError(
                f"Configuring the diffusion process: min_snr_gamma must be positive or null, found "
                f"{self.min_snr_gamma}. Next: set process.min_snr_gamma to 5 or null."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One output of the network, read in every way; `x_t = alpha x_0 + sigma eps` holds.

    Attributes:
        x_0: The clean picture, as expected by the network.
        eps: The noise.
        log_variance: Log variance of p(x_{t-1} | x_t); None where the network does not learn it.
    """

    x_0: Float[Tensor, "b c h w"]
    eps: Float[Tensor, "b c h w"]
    log_variance: Float[Tensor, "b c h w"] | None = None


class GaussianDiffusion:
    """The process as plain functions over one schedule.

    There is nothing to move or to save: tables are copied once to the device of the first call
    there and looked up on it, so no call waits for the device. It is no `nn.Module` so that casting
    a model to bfloat16 leaves the tables alone.

    Args:
        config: What the network predicts and how its loss is weighted.
    """

    def __init__(self, config: ProcessConfig):
        self.config = config
        self.schedule: NoiseSchedule = make_schedule(config.schedule, config.num_timesteps)
        self._host = _tables(self.schedule)
        self._copies: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def out_channels(self, image_channels: int) -> int:
        """Channels that the network must put out for pictures of `image_channels`."""
        return image_channels * (2 if self.config.variance == "learned_range" else 1)

    # -- forwards --------------------------------------------------------------------------------

    def q_sample(
        self, x_0: Float[Tensor, "b c h w"], t: Int[Tensor, " b"], eps: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Noise clean pictures to timesteps `t` (DDPM eq. 4)."""
        alpha, sigma = self.alpha_sigma(t, x_0)
        return alpha * x_0 + sigma * eps

    def velocity(
        self, x_0: Float[Tensor, "b c h w"], t: Int[Tensor, " b"], eps: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """The target of v prediction, `alpha eps - sigma x_0` (Salimans and Ho, appendix D)."""
        alpha, sigma = self.alpha_sigma(t, x_0)
        return alpha * eps - sigma * x_0

    # -- backwards -------------------------------------------------------------------------------

    def predict(
        self,
        raw_output: Float[Tensor, "b out h w"],
        x_t: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"] | Int[Tensor, " b"],
        *,
        clip_x_0: bool = False,
    ) -> Prediction:
        """Read the network's output as x_0, eps and log variance, in the dtype of `x_t`.

        Args:
            raw_output: What the network answered; channels as `out_channels` says.
            x_t: What it was given; float32, or float64 in tests.
            t: Timesteps; floats may lie between two timesteps.
            clip_x_0: Clamp x_0 to [-1, 1] and derive eps from it again, as GLIDE does in sampling.
        """
        mean, variance = self._split(raw_output.to(x_t.dtype), x_t)
        alpha, sigma = self.alpha_sigma(t, x_t)
        if self.config.prediction == "v":
            x_0, eps = alpha * x_t - sigma * mean, alpha * mean + sigma * x_t
        elif self.config.prediction == "x_0":
            x_0, eps = mean, (x_t - alpha * mean) / sigma
        else:
            x_0, eps = (x_t - sigma * mean) / alpha, mean
        if clip_x_0:
            x_0 = x_0.clamp(-1, 1)
            eps = (x_t - alpha * x_0) / sigma
        log_variance = None if variance is None else self._log_variance(variance, t, x_t)
        return Prediction(x_0=x_0, eps=eps, log_variance=log_variance)

    def loss(
        self,
        raw_output: Float[Tensor, "b out h w"],
        x_0: Float[Tensor, "b c h w"],
        x_t: Float[Tensor, "b c h w"],
        t: Int[Tensor, " b"],
        eps: Float[Tensor, "b c h w"],
    ) -> Float[Tensor, " b"]:
        """The loss of each sample, in float32 whatever the network's precision.

        The mean squared error of what is predicted, weighted by min-SNR where asked for. A learned
        variance adds the variational bound, `VLB_WEIGHT` times, whose gradient stops at the mean
        (L_hybrid, improved DDPM section 3.1); min-SNR does not touch that term.
        """
        raw_output, x_0, x_t, eps = (x.float() for x in (raw_output, x_0, x_t, eps))
        mean, variance = self._split(raw_output, x_0)
        match self.config.prediction:
            case "v":
                target = self.velocity(x_0, t, eps)
            case "x_0":
                target = x_0
            case "eps":
                target = eps
        error = mean - target
        loss = error.square().flatten(1).mean(1) * self.loss_weight(t)
        if variance is None:
            return loss
        # x_0 - predicted x_0 as a multiple of the error: subtracting two large predictions of x_0
        # would lose all digits where alpha is small.
        if self.config.prediction == "v":
            residual = error.detach() * self._at("sigma", t, x_0)
        elif self.config.prediction == "x_0":
            residual = -error.detach()
        else:
            residual = error.detach() * self._at("sigma_over_alpha", t, x_0)
        bound = bound_term(
            residual,
            self._log_variance(variance, t, x_0),
            x_0=x_0,
            t=t,
            posterior_log_variance=self._at("posterior_log_variance", t, x_0),
            posterior_x_0=self._at("posterior_x_0", t, x_0),
        )
        return loss + VLB_WEIGHT * self.config.num_timesteps * bound

    def loss_weight(self, t: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """Min-SNR weight of each sample, relative to the plain error of what is predicted.

        `min(snr, gamma)` weighs the error of x_0 (Hang et al., 2023, section 3.4); the error of eps
        is `snr` times that of x_0, and the error of v is `snr + 1` times.
        """
        gamma = self.config.min_snr_gamma
        if gamma is None:
            return torch.ones(t.shape, device=t.device)
        snr = self._lookup("snr", t.device, torch.float32)[t]
        weight = snr.clamp(max=gamma)
        match self.config.prediction:
            case "v":
                return weight / (snr + 1)
            case "x_0":
                return weight
            case "eps":
                return weight / snr

    # -- tables ----------------------------------------------------------------------------------

    def alpha_sigma(
        self, t: Float[Tensor, " b"] | Int[Tensor, " b"], like: Tensor
    ) -> tuple[Float[Tensor, "b 1 1 1"], Float[Tensor, "b 1 1 1"]]:
        """Coefficients of signal and noise for a batch, on the device and in the dtype of `like`.

        Between two timesteps log-SNR is interpolated linearly, as `NoiseSchedule.alpha_sigma` does.
        """
        if not t.is_floating_point():
            return self._at("alpha", t, like), self._at("sigma", t, like)
        log_snr = self._at("log_snr", t, like)
        return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()

    def _at(self, name: str, t: Tensor, like: Tensor) -> Float[Tensor, "b 1 1 1"]:
        table = self._lookup(name, like.device, _table_dtype(like))
        if not t.is_floating_point():
            return table[t][:, None, None, None]
        low = t.long().clamp(0, len(table) - 2)
        return torch.lerp(table[low], table[low + 1], (t - low).to(table))[:, None, None, None]

    def _lookup(self, name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
        key = (name, device, dtype)
        if key not in self._copies:
            # A table first used under inference mode must still serve training afterwards.
            with torch.inference_mode(False):
                self._copies[key] = self._host[name].to(dtype).to(device)
        return self._copies[key]

    # -- learned variance ------------------------------------------------------------------------

    def _split(self, raw_output: Tensor, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """Network output -> prediction, and variance channels where the variance is learned."""
        channels = like.shape[1]
        expected = self.out_channels(channels)
        if raw_output.shape[1] != expected:
            raise ConfigError(
                f"Reading the network's output for {self.config.variance} variance: expected "
                f"{expected} channels, found {raw_output.shape[1]}. Next: set "
                f"backbone.out_channels to {expected}, or change process.variance."
            )
        if self.config.variance == "fixed":
            return raw_output, None
        return raw_output[:, :channels], raw_output[:, channels:]

    def _log_variance(self, fraction: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Interpolate log variance: -1 is the posterior's, 1 is beta (improved DDPM, eq. 15)."""
        upper = self._at("log_beta", t, like)
        lower = self._at("posterior_log_variance", t, like)
        return torch.lerp(lower, upper, (fraction + 1) / 2)


def _tables(schedule: NoiseSchedule) -> dict[str, Tensor]:
    """Every coefficient that is looked up by timestep, in float64 on the CPU."""
    alpha_bar = schedule.alpha_bar
    noise = 1 - alpha_bar
    return {
        "alpha": alpha_bar.sqrt(),
        "sigma": noise.sqrt(),
        "sigma_over_alpha": (noise / alpha_bar).sqrt(),
        "snr": alpha_bar / noise,
        "log_snr": schedule.log_snr,
        "log_beta": schedule.betas.log(),
        "posterior_log_variance": schedule.posterior_log_variance,
        # Coefficient of x_0 in the posterior's mean (DDPM eq. 7).
        "posterior_x_0": schedule.betas * schedule.alpha_bar_prev.sqrt() / noise,
    }


def _table_dtype(like: Tensor) -> torch.dtype:
    return torch.float64 if like.dtype == torch.float64 else torch.float32
