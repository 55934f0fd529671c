"""Samplers against diffusers' schedulers: the same model outputs, float32, below 2e-5.

The schedulers are given our table of alpha_bar in float64: theirs is a float32 product of a
thousand factors, which at the noisiest timesteps is wrong in the fourth digit (that both tables
mean the same is tested in test_schedule). Model outputs are those of our own run, replayed.
"""

import pytest
import torch

from composer_pl.diffusion.guidance import guided
from composer_pl.diffusion.samplers import ddim, dpmpp_2m
from composer_pl.randomness import keyed_normal
from composer_pl.types import ConditionSignals

THEIR_PREDICTION = {"eps": "epsilon", "v": "v_prediction"}
THEIR_SCHEDULE = {"cosine": "squaredcos_cap_v2", "linear": "linear"}
TOLERANCE = 2e-5  # measured: 7e-6 to 1.0e-5, by the processor

# diffusers turns tensors into arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def recorded(toy, *, clip):
    """A denoiser whose network is not a perfect Gaussian one, and the list of its outputs."""
    outputs = []

    def network(x, t, signals):
        raw = toy.predict(x, t, toy.signals(len(x)))
        raw = raw + 0.1 * torch.sin(3 * x + 0.01 * t.to(x)[:, None, None, None])
        outputs.append(raw)
        return raw

    denoise = guided(network, ConditionSignals(), None, 1.0, toy.process, clip_x_0=clip)
    return denoise, outputs


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [4, 20, 50])
def test_ddim_agrees_with_diffusers(gaussian, noise, schedule, prediction, eta, steps):
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    toy, x_T = gaussian(0, prediction, schedule), noise(dtype=torch.float32)
    # eps under the cosine schedule starts with alpha 5e-5: unclipped, x_0 has no digits in float32.
    clip = prediction == "eps"
    theirs = DDIMScheduler(
        beta_schedule=THEIR_SCHEDULE[schedule],
        prediction_type=THEIR_PREDICTION[prediction],
        timestep_spacing="trailing",
        clip_sample=clip,
    )
    theirs.alphas_cumprod = toy.process.schedule.alpha_bar
    theirs.set_timesteps(steps)
    grid = theirs.timesteps.tolist()
    keys = torch.arange(len(x_T))
    denoise, outputs = recorded(toy, clip=clip)
    ours = ddim(denoise, x_T, toy.process.schedule, steps=steps, eta=eta, keys=keys, timesteps=grid)
    x = x_T
    for i, t in enumerate(theirs.timesteps):
        z = keyed_normal(keys, f"ddim-{i}", tuple(x.shape[1:])) if eta else None
        x = theirs.step(
            outputs[i], int(t), x, eta=eta, use_clipped_model_output=True, variance_noise=z
        ).prev_sample
    assert ours.dtype == x.dtype == torch.float32
    assert (ours - x).abs().max() < TOLERANCE


def dpm_solver(toy, schedule, prediction, **settings):
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    solver = DPMSolverMultistepScheduler(
        beta_schedule=THEIR_SCHEDULE[schedule],
        prediction_type=THEIR_PREDICTION[prediction],
        algorithm_type="dpmsolver++",
        solver_order=2,
        **settings,
    )
    solver.alphas_cumprod = toy.process.schedule.alpha_bar
    return solver


def replay(solver, outputs, x):
    for output, t in zip(outputs, solver.timesteps, strict=True):
        x = solver.step(output, t, x).prev_sample
    return x


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("steps", [4, 20, 50])
def test_dpmpp_2m_agrees_with_diffusers_at_given_timesteps(
    gaussian, noise, schedule, prediction, steps
):
    toy, x_T = gaussian(0, prediction, schedule), noise(dtype=torch.float32)
    clip = prediction == "eps"  # their thresholding with a bound of 1 is a clamp to [-1, 1]
    solver = dpm_solver(
        toy,
        schedule,
        prediction,
        timestep_spacing="linspace",
        thresholding=clip,
        sample_max_value=1.0,
    )
    solver.set_timesteps(steps)
    denoise, outputs = recorded(toy, clip=clip)
    ours = dpmpp_2m(
        denoise, x_T, toy.process.schedule, steps=steps, timesteps=solver.timesteps.tolist()
    )
    theirs = replay(solver, outputs, x_T)
    assert ours.dtype == theirs.dtype == torch.float32
    assert (ours - theirs).abs().max() < TOLERANCE


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("steps", [4, 20, 50])
def test_dpmpp_2m_agrees_with_diffusers_at_uniform_log_snr(gaussian, noise, schedule, steps):
    toy, x_T = gaussian(0, "v", schedule), noise(dtype=torch.float32)
    solver = dpm_solver(toy, schedule, "v", use_lu_lambdas=True)
    solver.set_timesteps(steps)
    # diffusers steps at unrounded log-SNR over the whole range; so do fractional timesteps.
    table = toy.process.schedule.log_snr
    even = torch.linspace(table[-1].item(), table[0].item(), steps, dtype=torch.float64)
    grid = [toy.process.schedule.timestep_at(value) for value in even.tolist()]
    theirs_log_snr = -2 * solver.sigmas[:-1].double().log()
    torch.testing.assert_close(theirs_log_snr, even, rtol=0, atol=1e-5)
    denoise, outputs = recorded(toy, clip=False)
    ours = dpmpp_2m(denoise, x_T, toy.process.schedule, steps=steps, timesteps=grid)
    theirs = replay(solver, outputs, x_T)
    assert (ours - theirs).abs().max() < TOLERANCE
