"""Noise schedules as float64 tables of alpha_bar, and the look-ups that samplers make on the host.

Symbols: `x_t = alpha x_0 + sigma eps`, `alpha = sqrt(alpha_bar)`, `sigma = sqrt(1 - alpha_bar)`,
`snr = alpha_bar / (1 - alpha_bar)`. Timestep 0 is the least noise, `num_timesteps - 1` the most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from composer_pl.errors import ConfigError

CLEAN = -1
"""The timestep of clean data, one below the first of the table: alpha 1, sigma 0."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A variance-preserving noise schedule; its tables stay on the CPU in float64.

    Attributes:
        alpha_bar: Share of the signal's variance left at each timestep, falling, in (0, 1).
    """

    alpha_bar: Float64[Tensor, " t"]

    @property
    def num_timesteps(self) -> int:
        """Number of training timesteps T."""
        return len(self.alpha_bar)

    @cached_property
    def log_snr(self) -> Float64[Tensor, " t"]:
        """`log(alpha_bar / (1 - alpha_bar))`: twice the `lambda` of DPM-Solver."""
        return self.alpha_bar.log() - torch.log1p(-self.alpha_bar)

    @cached_property
    def alpha_bar_prev(self) -> Float64[Tensor, " t"]:
        """`alpha_bar` one timestep earlier; 1 before the first."""
        return torch.cat([torch.ones_like(self.alpha_bar[:1]), self.alpha_bar[:-1]])

    @cached_property
    def betas(self) -> Float64[Tensor, " t"]:
        """Variance of the noise that each timestep adds."""
        return 1 - self.alpha_bar / self.alpha_bar_prev

    @cached_property
    def posterior_log_variance(self) -> Float64[Tensor, " t"]:
        """Log variance of q(x_{t-1} | x_t, x_0) (DDPM eq. 7).

        The variance at index 0 is zero; its logarithm is replaced by that at index 1, as ADM does.
        """
        variance = self.betas * (1 - self.alpha_bar_prev) / (1 - self.alpha_bar)
        return torch.cat([variance[1:2], variance[1:]]).log()

    @cached_property
    def _log_snr_list(self) -> list[float]:
        return self.log_snr.tolist()

    def alpha_sigma(self, t: float) -> tuple[float, float]:
        """Coefficients of signal and noise at one timestep, as host numbers: no device is asked.

        Args:
            t: `CLEAN`, or in [0, T - 1]; between two timesteps log-SNR is interpolated linearly.
        """
        if t == CLEAN:
            return 1.0, 0.0
        low = min(int(t), self.num_timesteps - 2)
        table = self._log_snr_list
        log_snr = table[low] + (t - low) * (table[low + 1] - table[low])
        return math.sqrt(1 / (1 + math.exp(-log_snr))), math.sqrt(1 / (1 + math.exp(log_snr)))

    def timestep_at(self, log_snr: float) -> float:
        """The fractional timestep with a given log-SNR; the inverse of `alpha_sigma`'s rule.

        Values beyond the table give its first or last timestep. The answer is rounded to float32,
        so that the host and a network that is given a float32 timestep mean the same one.
        """
        table = self._log_snr_list
        if log_snr >= table[0]:
            return 0.0
        if log_snr <= table[-1]:
            return float(self.num_timesteps - 1)
        high = next(index for index, value in enumerate(table) if value <= log_snr)
        t = high - 1 + (table[high - 1] - log_snr) / (table[high - 1] - table[high])
        return torch.tensor(t, dtype=torch.float32).item()


def make_schedule(name: Literal["cosine", "linear"], num_timesteps: int = 1000) -> NoiseSchedule:
    """Build a schedule by name.

    Args:
        name: `cosine` is improved DDPM's squared cosine (eq. 17; GLIDE, Composer's base model) with
            betas clipped at 0.999; `linear` is DDPM's, its betas scaled by 1000 / num_timesteps.
        num_timesteps: Number of training timesteps, at least 2.

    Raises:
        ConfigError: The name is unknown, or the number of timesteps is too small.
    """
    if name not in ("cosine", "linear"):
        raise ConfigError(
            f"Building a noise schedule: expected cosine or linear, found {name!r}. "
            f"Next: correct process.schedule."
        )
    minimum = 2 if name == "cosine" else 21  # linear betas reach 20 / T, which must stay below 1
    if num_timesteps < minimum:
        raise ConfigError(
            f"Building the {name} noise schedule: expected at least {minimum} timesteps, found "
            f"{num_timesteps}. Next: raise process.num_timesteps."
        )
    if name == "linear":
        scale = 1000 / num_timesteps
        betas = torch.linspace(scale * 1e-4, scale * 0.02, num_timesteps, dtype=torch.float64)
    else:
        time = torch.arange(num_timesteps + 1, dtype=torch.float64) / num_timesteps
        ideal = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = (1 - ideal[1:] / ideal[:-1]).clamp(max=0.999)
    return NoiseSchedule((1 - betas).cumprod(0))


def check_timesteps(timesteps: Sequence[float], schedule: NoiseSchedule) -> None:
    """Refuse a list of timesteps that no sampler can walk down.

    Raises:
        ConfigError: The list is empty, not strictly falling, or leaves [0, T - 1].
    """
    falling = all(a > b for a, b in pairwise(timesteps))
    last = schedule.num_timesteps - 1
    if not timesteps or not falling or timesteps[0] > last or timesteps[-1] < 0:
        raise ConfigError(
            f"Sampling at given timesteps: expected a strictly falling list within [0, {last}], "
            f"found {list(timesteps)}. Next: correct the list, or give a number of steps instead."
        )
