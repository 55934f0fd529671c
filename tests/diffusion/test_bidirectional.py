"""Bidirectional guidance on Gaussians: back under one law, forward under guidance between two."""

from itertools import pairwise

import pytest
import torch

from composer_pl.diffusion.guidance import guided
from composer_pl.diffusion.samplers import ddim, ddim_invert
from composer_pl.diffusion.schedule import CLEAN

STEPS = (50, 100, 200)


def first_order(errors):
    return all(1.5 < coarse / fine < 2.7 for coarse, fine in pairwise(errors))


def walked(one, two, weight, x_0, steps):
    """DDIM inversion under `one`, then DDIM under guidance from `one` towards `two`."""
    schedule, samples = one.process.schedule, len(x_0)
    x_T = ddim_invert(one.denoiser(samples), x_0, schedule, steps=steps)
    denoise = guided(
        one.predict,
        two.signals(samples),
        one.signals(samples),
        weight,
        one.process,
        clip_x_0=False,
    )
    return ddim(denoise, x_T, schedule, steps=steps)


def exact(one, two, weight, x_0):
    """The same of infinitely many steps, and of DDIM's last one, which takes the expected x_0.

    With y = x / alpha and tau = sigma / alpha the guided flow is dy/dtau = sum_i w_i tau (y - m_i)
    / (tau^2 + s_i^2), linear in y. It is solved by h = prod_i (tau^2 + s_i^2)^(w_i / 2) and an
    integral, here by Simpson's rule over 40,000 pieces of log tau.
    """
    schedule = one.process.schedule
    laws = [(weight, two.mean, two.std), (1 - weight, one.mean, one.std)]
    x_T = one.flow(x_0, CLEAN, 999)
    (alpha_T, sigma_T), (alpha, sigma) = (schedule.alpha_sigma(t) for t in (999, 0))
    ends = torch.tensor([sigma_T / alpha_T, sigma / alpha], dtype=torch.float64).log()
    u = torch.linspace(ends[0], ends[1], 40_001, dtype=torch.float64).view(-1, 1, 1, 1)
    square = (2 * u).exp()
    log_h = torch.stack([w / 2 * (square + s**2).log() for w, _, s in laws]).sum(0)
    h = (log_h - log_h[:1]).exp()  # from its value at the noise
    pull = torch.stack([-w * m * square / (square + s**2) for w, m, s in laws]).sum(0) / h
    simpson = torch.full((len(u), 1, 1, 1), 2.0, dtype=torch.float64)
    simpson[1::2], simpson[0], simpson[-1] = 4, 1, 1
    integral = (pull * simpson).sum(0) * (u[1] - u[0]) / 3
    x = alpha * h[-1] * (x_T / alpha_T + integral)
    return weight * two.posterior_mean(x, 0) + (1 - weight) * one.posterior_mean(x, 0)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_under_one_law_a_picture_comes_back_at_first_order(gaussian, noise, prediction):
    toy = gaussian(0, prediction)
    x_0 = toy.flow(noise(), 999, CLEAN)
    errors = [(walked(toy, toy, 3.0, x_0, steps) - x_0).abs().max().item() for steps in STEPS]
    assert first_order(errors), errors
    assert errors[-1] < 0.03


def test_the_exact_solution_is_the_identity_between_equal_laws(gaussian, noise):
    toy = gaussian(0)
    x_0 = toy.flow(noise(), 999, CLEAN)
    known = toy.posterior_mean(toy.flow(x_0, CLEAN, 0), 0)  # all but DDIM's last step
    torch.testing.assert_close(exact(toy, toy, 3.0, x_0), known, rtol=0, atol=1e-7)


def test_the_exact_solution_moves_a_mean_where_spreads_are_equal(gaussian, noise):
    one, two, mixed = gaussian(1), gaussian(2), gaussian(0)
    two.std = mixed.std = one.std
    mixed.mean = 3.0 * two.mean - 2.0 * one.mean  # the score of a Gaussian is affine in its mean
    x_0 = one.flow(noise(), 999, CLEAN)
    moved = mixed.posterior_mean(mixed.flow(one.flow(x_0, CLEAN, 999), 999, 0), 0)
    torch.testing.assert_close(exact(one, two, 3.0, x_0), moved, rtol=0, atol=1e-7)


@pytest.mark.parametrize("weight", [1.0, 2.0, -0.5])
@pytest.mark.parametrize("seed", [0, 4])
def test_between_two_laws_pictures_arrive_where_the_exact_flow_ends(gaussian, noise, weight, seed):
    one, two = gaussian(seed), gaussian(seed + 1)
    x_0 = one.flow(noise(), 999, CLEAN)
    wanted = exact(one, two, weight, x_0)
    errors = [(walked(one, two, weight, x_0, s) - wanted).abs().max().item() for s in STEPS]
    assert all(coarse / fine > 1.5 for coarse, fine in pairwise(errors)), errors
    assert errors[-1] < 0.1, errors
    assert (wanted - x_0).abs().max() > 0.3
