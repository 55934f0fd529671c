"""Samplers against the exact solution of a Gaussian's probability-flow ODE, and their promises."""

from itertools import pairwise

import pytest
import torch

from composer_pl.diffusion.guidance import guided
from composer_pl.diffusion.process import GaussianDiffusion, Prediction, ProcessConfig
from composer_pl.diffusion.samplers import (
    ddim,
    ddim_invert,
    ddim_timesteps,
    dpmpp_2m,
    log_snr_timesteps,
)
from composer_pl.diffusion.schedule import CLEAN, make_schedule
from composer_pl.errors import ConfigError
from composer_pl.randomness import keyed_normal

SAMPLERS = [(ddim, 1), (dpmpp_2m, 2)]


def ratios(errors):
    return [coarse / fine for coarse, fine in pairwise(errors)]


def assert_order(errors, order):
    """Halving the step divides the error by about 2**order; a fifth of slack for large steps."""
    for ratio in ratios(errors):
        assert 0.8 * 2**order < ratio < 1.25 * 2**order, errors


# -- exact solutions -------------------------------------------------------------------------------


@pytest.mark.parametrize(("sampler", "order"), SAMPLERS)
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_samplers_converge_to_the_exact_flow_at_their_order(
    gaussian, noise, sampler, order, schedule, prediction
):
    toy, x_T = gaussian(0, prediction, schedule), noise()
    exact = toy.posterior_mean(toy.flow(x_T, 999, 0), 0)
    process = toy.process
    errors = [
        (sampler(toy.denoiser(4), x_T, process.schedule, steps=steps) - exact).abs().max().item()
        for steps in (20, 40, 80, 160)
    ]
    assert_order(errors, order)
    assert errors[-1] < (0.03 if order == 1 else 3e-4)


@pytest.mark.parametrize(("sampler", "order"), SAMPLERS)
@pytest.mark.parametrize("weight", [-1.0, 0.5, 3.0])
def test_guidance_between_gaussians_of_equal_spread_flows_to_the_mixed_mean(
    gaussian, noise, sampler, order, weight
):
    one, two = gaussian(1), gaussian(2)
    two.std = one.std
    mixed = gaussian(0)  # the score of a Gaussian is affine in its mean
    mixed.mean, mixed.std = weight * two.mean + (1 - weight) * one.mean, one.std
    x_T, process = noise(), mixed.process
    denoise = guided(mixed.predict, two.signals(4), one.signals(4), weight, process, clip_x_0=False)
    exact = mixed.posterior_mean(mixed.flow(x_T, 999, 0), 0)
    errors = [
        (sampler(denoise, x_T, process.schedule, steps=steps) - exact).abs().max().item()
        for steps in (40, 80, 160)
    ]
    assert_order(errors, order)


@pytest.mark.parametrize(("sampler", "order"), SAMPLERS)
@pytest.mark.parametrize("weight", [-1.0, 0.5, 3.0])
def test_guidance_between_gaussians_of_equal_mean_flows_to_the_mixed_spread(
    gaussian, noise, sampler, order, weight
):
    """With y = x / alpha, tau = sigma / alpha: dy/dtau = eps, whose solution is a power product.

    eps = sum_i w_i tau (y - mean) / (tau^2 + std_i^2), so y - mean is proportional to
    prod_i (tau^2 + std_i^2)^(w_i / 2).
    """
    one, two = gaussian(1), gaussian(2)
    two.mean = one.mean
    x_T, process = noise(), one.process

    def spread(t):
        alpha, sigma = process.schedule.alpha_sigma(t)
        tau = sigma / alpha
        powers = (tau**2 + two.std**2) ** (weight / 2) * (tau**2 + one.std**2) ** (0.5 - weight / 2)
        return alpha * powers, alpha

    (k_from, alpha_from), (k_to, alpha_to) = spread(999), spread(0)
    x_last = alpha_to * one.mean + k_to / k_from * (x_T - alpha_from * one.mean)
    exact = weight * two.posterior_mean(x_last, 0) + (1 - weight) * one.posterior_mean(x_last, 0)
    denoise = guided(one.predict, two.signals(4), one.signals(4), weight, process, clip_x_0=False)
    errors = [
        (sampler(denoise, x_T, process.schedule, steps=steps) - exact).abs().max().item()
        for steps in (40, 80, 160)
    ]
    for ratio in ratios(errors):  # the weight of 3 has steep flow near the data: allow more slack
        assert ratio > 0.7 * 2**order, errors


def test_stochastic_ddim_keeps_the_law_of_the_data(gaussian, noise):
    toy = gaussian(0)
    x_T, keys = noise(60), torch.arange(60)
    drawn = ddim(toy.denoiser(60), x_T, toy.process.schedule, steps=200, eta=1.0, keys=keys)
    standard = (drawn - toy.mean) / toy.std
    assert standard.mean().abs() < 0.1
    assert standard.std() == pytest.approx(1, abs=0.1)


# -- inversion -------------------------------------------------------------------------------------


def test_inversion_converges_to_the_exact_noise_at_first_order(gaussian, noise):
    toy, x_T = gaussian(0), noise()
    x_0 = toy.flow(x_T, 999, CLEAN)
    errors = [
        (ddim_invert(toy.denoiser(4), x_0, toy.process.schedule, steps=steps) - x_T).abs().max()
        for steps in (50, 100, 200)
    ]
    assert_order([error.item() for error in errors], 1)


def test_ddim_inverts_its_inversion_within_a_grey_level_at_full_length(gaussian, noise):
    toy = gaussian(0)
    x_0 = toy.flow(noise(), 999, CLEAN)
    denoise, schedule = toy.denoiser(4), toy.process.schedule

    def round_trip(steps):
        x_T = ddim_invert(denoise, x_0, schedule, steps=steps)
        return (ddim(denoise, x_T, schedule, steps=steps) - x_0).abs().max().item()

    assert_order([round_trip(100), round_trip(200)], 1)
    assert round_trip(1000) < 1 / 255


def test_both_directions_walk_one_grid_with_mirrored_steps(noise):
    process = GaussianDiffusion(ProcessConfig())
    asked = {"down": [], "up": []}

    def watched(direction):
        def denoise(x, t):
            asked[direction].append(int(t[0]))
            return process.predict(eps, x, t)

        return denoise

    eps, x_0 = noise(seed=1), noise(seed=2).tanh()
    x_T = ddim_invert(watched("up"), x_0, process.schedule, steps=7)
    back = ddim(watched("down"), x_T, process.schedule, steps=7)
    grid = ddim_timesteps(process.schedule, 7)
    assert asked["down"] == grid
    # Each step up asks at the less noisy end; the clean end is asked at the lowest timestep.
    assert asked["up"] == [grid[-1], *grid[:0:-1]]
    # Where eps does not change along the way, both directions are exact inverses.
    torch.testing.assert_close(back, x_0, rtol=0, atol=1e-9)


def test_inversion_takes_the_explicit_grid_that_ddim_took(noise):
    process, grid = GaussianDiffusion(ProcessConfig()), [900, 500, 499, 20, 3]
    eps, x_0 = noise(seed=1), noise(seed=2).tanh()

    def denoise(x, t):
        return process.predict(eps, x, t)

    x_T = ddim_invert(denoise, x_0, process.schedule, steps=1, timesteps=grid)
    torch.testing.assert_close(x_T, process.q_sample(x_0, torch.full((4,), 900), eps))
    back = ddim(denoise, x_T, process.schedule, steps=1, timesteps=grid)
    torch.testing.assert_close(back, x_0)


# -- grids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cosine", "linear"])
@pytest.mark.parametrize("grid", [ddim_timesteps, log_snr_timesteps])
def test_grids_have_the_asked_length_and_both_end_points(name, grid):
    schedule = make_schedule(name)
    for steps in (1, 2, 3, 10, 25, 50, 333, 999, 1000):
        timesteps = grid(schedule, steps)
        assert len(timesteps) == steps
        assert timesteps[0] == 999
        assert timesteps[-1] == (0 if steps > 1 else 999)
        assert all(a > b for a, b in pairwise(timesteps))
        assert all(isinstance(t, int) for t in timesteps)


@pytest.mark.parametrize(("name", "lowest"), [("cosine", -10.2), ("linear", None)])
def test_log_snr_grid_is_even_up_to_rounding_down_to_its_floor(name, lowest):
    table = make_schedule(name).log_snr
    timesteps = torch.tensor(log_snr_timesteps(make_schedule(name), 20))
    lowest = table[-1].item() if lowest is None else lowest
    even = torch.linspace(lowest, table[0].item(), 20, dtype=torch.float64)
    gaps = torch.cat([table.diff().abs(), torch.zeros(1)])
    rounding = torch.maximum(gaps[timesteps], gaps[(timesteps - 1).clamp(min=0)]) / 2
    # The first point is moved to T - 1 whatever the floor.
    assert ((table[timesteps] - even).abs() <= rounding + 1e-4)[1:].all()


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps):
    schedule = make_schedule("cosine")
    for grid in (ddim_timesteps, log_snr_timesteps):
        with pytest.raises(ConfigError, match=f"expected 1 to 1000 steps, found {steps}"):
            grid(schedule, steps)


# -- promises --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [ddim, dpmpp_2m, ddim_invert])
def test_a_picture_does_not_depend_on_the_batch(gaussian, noise, sampler):
    toy, x = gaussian(0), noise(4, dtype=torch.float32)
    schedule = toy.process.schedule
    together = sampler(toy.denoiser(4), x, schedule, steps=10)
    alone = [sampler(toy.denoiser(1), x[i : i + 1], schedule, steps=10) for i in range(4)]
    assert torch.equal(together, torch.cat(alone))


def test_stochastic_noise_belongs_to_the_picture_not_to_its_place(gaussian, noise):
    toy, x, keys = gaussian(0), noise(4), torch.tensor([5, 6, 7, 8])
    schedule = toy.process.schedule
    together = ddim(toy.denoiser(4), x, schedule, steps=6, eta=1.0, keys=keys)
    alone = ddim(toy.denoiser(1), x[2:3], schedule, steps=6, eta=1.0, keys=keys[2:3])
    assert torch.equal(together[2:3], alone)


def test_noise_of_a_step_is_the_keyed_draw_of_that_step(gaussian, noise):
    toy, x, keys = gaussian(0), noise(2), torch.tensor([5, 6])
    process, grid = toy.process, [800, 400]
    found = toy.denoiser(2)(x, torch.tensor([800, 800]))
    before, now = process.schedule.alpha_bar[400], process.schedule.alpha_bar[800]
    variance = (1 - before) / (1 - now) * (1 - now / before)
    x_400 = (
        before.sqrt() * found.x_0
        + (1 - before - variance).sqrt() * found.eps
        + variance.sqrt() * keyed_normal(keys, "ddim-0", (3, 2, 2))
    )
    expected = toy.denoiser(2)(x_400, torch.tensor([400, 400])).x_0
    drawn = ddim(toy.denoiser(2), x, process.schedule, steps=2, eta=1.0, keys=keys, timesteps=grid)
    torch.testing.assert_close(drawn, expected)


@pytest.mark.parametrize("sampler", [ddim, dpmpp_2m])
def test_the_last_predicted_x_0_is_returned_untouched(noise, sampler):
    last = noise(seed=9)

    def denoise(x, t):
        return Prediction(x_0=last if t[0] == 0 else torch.zeros_like(x), eps=torch.zeros_like(x))

    assert torch.equal(sampler(denoise, noise(), make_schedule("cosine"), steps=5), last)


@pytest.mark.parametrize("sampler", [ddim, dpmpp_2m, ddim_invert])
def test_progress_is_told_after_every_step(gaussian, noise, sampler):
    toy, told = gaussian(0), []
    sampler(
        toy.denoiser(4),
        noise(),
        toy.process.schedule,
        steps=3,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("sampler", [ddim, dpmpp_2m, ddim_invert])
def test_samplers_keep_no_graph(gaussian, noise, sampler):
    toy = gaussian(0)
    toy.mean.requires_grad_()
    assert not sampler(toy.denoiser(4), noise(), toy.process.schedule, steps=3).requires_grad


def test_noisy_ddim_without_keys_is_refused(gaussian, noise):
    toy = gaussian(0)
    with pytest.raises(ConfigError, match=r"eta 0\.5: expected one key a sample"):
        ddim(toy.denoiser(4), noise(), toy.process.schedule, steps=3, eta=0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_no_step_waits_for_the_device(gaussian, noise):
    toy, x = gaussian(0), noise(dtype=torch.float32).cuda()
    toy.mean, toy.std = toy.mean.cuda(), toy.std.cuda()
    schedule, process = toy.process.schedule, toy.process
    denoise = guided(toy.predict, toy.signals(4), toy.signals(4), 3.0, process)
    t = torch.full((4,), 500, device=x.device)
    for sampler in (ddim, ddim_invert, dpmpp_2m):  # the first call copies the tables
        sampler(denoise, x, schedule, steps=3)
    process.loss(x, x, x, t, x)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for sampler in (ddim, ddim_invert, dpmpp_2m):
            sampler(denoise, x, schedule, steps=3)
        process.loss(x, x, x, t, x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
