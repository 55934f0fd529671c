"""Facts about noise schedules."""

import math

import jaxtyping
import pytest
import torch

from composer_pl.diffusion.schedule import CLEAN, NoiseSchedule, check_timesteps, make_schedule
from composer_pl.errors import ConfigError


@pytest.mark.parametrize("name", ["cosine", "linear"])
@pytest.mark.parametrize("num_timesteps", [50, 1000, 4000])
def test_alpha_bar_falls_from_nearly_one_to_nearly_zero(name, num_timesteps):
    schedule = make_schedule(name, num_timesteps)
    assert schedule.num_timesteps == num_timesteps
    assert schedule.alpha_bar.dtype == torch.float64
    assert (schedule.alpha_bar.diff() < 0).all()
    assert schedule.alpha_bar[0] > 0.99
    assert schedule.alpha_bar[-1] < 1e-4


def test_cosine_follows_its_closed_form_up_to_the_clipped_last_beta():
    schedule = make_schedule("cosine")
    time = torch.arange(1, 1001, dtype=torch.float64) / 1000
    angle = (time + 0.008) / 1.008 * math.pi / 2
    closed = angle.cos() ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(schedule.alpha_bar[:-1], closed[:-1], rtol=1e-9, atol=0)
    torch.testing.assert_close(schedule.betas[-1].item(), 0.999, rtol=1e-12, atol=0)
    assert schedule.betas.max() <= 0.999 + 1e-12


def test_linear_betas_run_from_1e_4_to_0_02():
    betas = make_schedule("linear").betas
    torch.testing.assert_close(betas, torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "theirs"), [("cosine", "squaredcos_cap_v2"), ("linear", "linear")]
)
def test_tables_agree_with_diffusers_within_its_float32(name, theirs):
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    table = DDIMScheduler(beta_schedule=theirs).alphas_cumprod
    torch.testing.assert_close(
        make_schedule(name).alpha_bar.float(), table.float(), rtol=1e-4, atol=1e-6
    )


def test_log_snr_is_the_log_ratio_of_signal_and_noise():
    schedule = make_schedule("cosine")
    expected = torch.logit(schedule.alpha_bar)
    torch.testing.assert_close(schedule.log_snr, expected)


def test_posterior_log_variance_follows_ddpm_and_is_clipped_at_index_0():
    schedule = make_schedule("linear")
    alpha_bar, betas = schedule.alpha_bar, schedule.betas
    expected = ((1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]) * betas[1:]).log()
    torch.testing.assert_close(schedule.posterior_log_variance[1:], expected)
    assert schedule.posterior_log_variance[0] == schedule.posterior_log_variance[1]


def test_host_coefficients_are_those_of_the_table():
    schedule = make_schedule("cosine")
    for t in (0, 1, 500, 998, 999):
        alpha, sigma = schedule.alpha_sigma(t)
        assert alpha**2 == pytest.approx(schedule.alpha_bar[t].item(), rel=1e-12)
        assert alpha**2 + sigma**2 == pytest.approx(1, rel=1e-12)
    assert schedule.alpha_sigma(CLEAN) == (1.0, 0.0)


def test_timestep_at_inverts_log_snr():
    schedule = make_schedule("cosine")
    for t in (0.0, 0.25, 17.5, 500.75, 998.5, 999.0):
        alpha, sigma = schedule.alpha_sigma(t)
        assert schedule.timestep_at(2 * math.log(alpha / sigma)) == pytest.approx(t, abs=1e-4)
    assert schedule.timestep_at(1e9) == 0
    assert schedule.timestep_at(-1e9) == 999


@pytest.mark.parametrize("timesteps", [[], [0, 1], [3, 3], [10, 0], [1, -1]])
def test_unwalkable_lists_of_timesteps_are_refused(timesteps):
    schedule = NoiseSchedule(torch.linspace(0.9, 0.1, 10, dtype=torch.float64))
    with pytest.raises(ConfigError, match=r"\[0, 9\]"):
        check_timesteps(timesteps, schedule)


def test_unknown_names_are_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match="expected cosine or linear, found 'cosin'"):
        make_schedule("cosin")  # type: ignore[arg-type]


def test_too_few_timesteps_are_refused():
    with pytest.raises(ConfigError, match="at least 21 timesteps, found 20"):
        make_schedule("linear", 20)
