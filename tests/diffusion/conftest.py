"""A Gaussian toy, whose noise prediction and probability-flow ODE are known exactly."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from composer_pl.diffusion.guidance import Denoiser, guided
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.types import ConditionSignals

SHAPE = (3, 2, 2)


@dataclass
class Gaussian:
    """Data of the law N(mean, diag std^2)."""

    mean: Tensor
    std: Tensor
    process: GaussianDiffusion

    def eps(self, x: Tensor, t: Tensor) -> Tensor:
        """The expected noise given x_t."""
        return self.predict(x, t, self.signals(len(x)))

    def signals(self, samples: int) -> ConditionSignals:
        """Mean and spread as a condition, so that the tests' network can serve several laws."""
        law = torch.cat([self.mean.flatten(), self.std.flatten()])
        return ConditionSignals(time=law.expand(samples, -1))

    def predict(self, x: Tensor, t: Tensor, signals: ConditionSignals) -> Tensor:
        """A perfect network for whatever Gaussian `signals` tells."""
        assert signals.time is not None
        mean, std = (law.reshape(x.shape) for law in signals.time.to(x).chunk(2, 1))
        alpha, sigma = self.process.alpha_sigma(t, x)
        eps = sigma * (x - alpha * mean) / (alpha**2 * std**2 + sigma**2)
        if self.process.config.prediction == "v":
            return (eps - sigma * x) / alpha
        return eps

    def denoiser(self, samples: int) -> Denoiser:
        """The perfect network as samplers want it."""
        return guided(self.predict, self.signals(samples), None, 1.0, self.process, clip_x_0=False)

    def flow(self, x: Tensor, t_from: float, t_to: float) -> Tensor:
        """The probability-flow ODE from one timestep to another, exactly: affine in x."""
        schedule = self.process.schedule
        alpha, sigma = schedule.alpha_sigma(t_from)
        alpha_to, sigma_to = schedule.alpha_sigma(t_to)
        spread = (alpha**2 * self.std**2 + sigma**2).sqrt()
        spread_to = (alpha_to**2 * self.std**2 + sigma_to**2).sqrt()
        return alpha_to * self.mean + spread_to / spread * (x - alpha * self.mean)

    def posterior_mean(self, x: Tensor, t: float) -> Tensor:
        """The expected x_0 given x_t: what samplers do in their last step."""
        alpha, sigma = self.process.schedule.alpha_sigma(t)
        gain = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        return self.mean + gain * (x - alpha * self.mean)


@pytest.fixture
def gaussian():
    """Build a Gaussian toy in float64: `gaussian(seed, prediction=..., schedule=...)`."""

    def build(seed: int = 0, prediction: str = "eps", schedule: str = "cosine") -> Gaussian:
        generator = torch.Generator().manual_seed(seed)
        mean = torch.randn(SHAPE, generator=generator, dtype=torch.float64) * 0.5
        std = 0.1 + 0.4 * torch.rand(SHAPE, generator=generator, dtype=torch.float64)
        process = GaussianDiffusion(ProcessConfig(prediction=prediction, schedule=schedule))  # type: ignore[arg-type]
        return Gaussian(mean, std, process)

    return build


@pytest.fixture
def noise():
    """Standard normal noise: `noise(samples, seed, dtype)`."""

    def draw(samples: int = 4, seed: int = 7, dtype: torch.dtype = torch.float64) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(samples, *SHAPE, generator=generator, dtype=dtype)

    return draw
