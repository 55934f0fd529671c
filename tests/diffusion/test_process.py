"""Facts about the diffusion process: conversions, the loss and its weights, learned variance."""

import copy
import math

import jaxtyping
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.errors import ConfigError

T_SOME = torch.tensor([0, 1, 250, 700, 999])


def draw(samples=5, channels=3, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, channels, 4, 4, generator=generator, dtype=dtype)


def pictures(seed=1, dtype=torch.float32):
    return draw(seed=seed, dtype=dtype).tanh()


def target_of(process, x_0, eps, t=T_SOME):
    """What the network should answer."""
    targets = {"eps": eps, "v": process.velocity(x_0, t, eps), "x_0": x_0}
    return targets[process.config.prediction]


# -- noising and conversions -----------------------------------------------------------------------


def test_q_sample_keeps_unit_variance_of_unit_variance_data():
    process = GaussianDiffusion(ProcessConfig())
    x_t = process.q_sample(draw(seed=1), T_SOME, torch.zeros(5, 3, 4, 4))
    alpha_bar = process.schedule.alpha_bar[T_SOME].float()
    torch.testing.assert_close(
        x_t, alpha_bar.sqrt()[:, None, None, None] * draw(seed=1), rtol=1e-6, atol=0
    )
    alpha, sigma = process.alpha_sigma(T_SOME, x_t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(5, 1, 1, 1))


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_true_target_converts_back_to_x_0_and_eps(prediction, schedule):
    process = GaussianDiffusion(ProcessConfig(prediction=prediction, schedule=schedule))
    x_0, eps = pictures(dtype=torch.float64), draw(dtype=torch.float64)
    x_t = process.q_sample(x_0, T_SOME, eps)
    raw = target_of(process, x_0, eps)
    found = process.predict(raw, x_t, T_SOME)
    torch.testing.assert_close(found.x_0, x_0, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-9)
    assert found.log_variance is None


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_any_output_is_read_consistently_also_when_clipped(prediction):
    process = GaussianDiffusion(ProcessConfig(prediction=prediction))
    raw, x_t = draw(seed=2, dtype=torch.float64), draw(seed=3, dtype=torch.float64)
    alpha, sigma = process.alpha_sigma(T_SOME, x_t)
    for clip in (False, True):
        found = process.predict(raw, x_t, T_SOME, clip_x_0=clip)
        torch.testing.assert_close(alpha * found.x_0 + sigma * found.eps, x_t)
        assert (found.x_0.abs().max() <= 1) == clip


def test_fractional_timesteps_agree_with_whole_ones_and_lie_between_them():
    process = GaussianDiffusion(ProcessConfig())
    x = draw(dtype=torch.float64)
    whole = process.alpha_sigma(T_SOME, x)
    fractional = process.alpha_sigma(T_SOME.float(), x)
    torch.testing.assert_close(whole[0], fractional[0], rtol=1e-9, atol=0)
    torch.testing.assert_close(whole[1], fractional[1], rtol=1e-9, atol=0)
    t = torch.tensor([300.25])
    alpha, sigma = process.alpha_sigma(t, x)
    expected = process.schedule.alpha_sigma(300.25)
    assert (alpha.item(), sigma.item()) == pytest.approx(expected, rel=1e-12)


def test_bfloat16_output_is_read_in_the_dtype_of_x_t():
    process = GaussianDiffusion(ProcessConfig(variance="learned_range"))
    found = process.predict(draw(channels=6).bfloat16(), draw(), T_SOME)
    assert found.x_0.dtype == found.eps.dtype == torch.float32
    assert found.log_variance is not None
    assert found.log_variance.dtype == torch.float32


# -- loss and weights ------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_loss_is_the_mean_squared_error_of_each_sample_in_float32(prediction):
    process = GaussianDiffusion(ProcessConfig(prediction=prediction))
    x_0, eps = pictures(), draw()
    x_t = process.q_sample(x_0, T_SOME, eps)
    target = target_of(process, x_0, eps)
    raw = target + torch.arange(5.0)[:, None, None, None]
    loss = process.loss(raw, x_0, x_t, T_SOME, eps)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, torch.arange(5.0) ** 2)
    assert process.loss(raw.bfloat16(), x_0, x_t, T_SOME, eps).dtype == torch.float32


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_min_snr_weighs_the_error_of_x_0_by_snr_but_at_most_gamma(prediction):
    process = GaussianDiffusion(
        ProcessConfig(prediction=prediction, schedule="linear", min_snr_gamma=5.0)
    )
    x_0, eps = pictures(dtype=torch.float64), draw(dtype=torch.float64)
    t = torch.tensor([0, 100, 400, 700, 999])
    x_t = process.q_sample(x_0, t, eps)
    raw = draw(seed=5, dtype=torch.float64)
    alpha_bar = process.schedule.alpha_bar[t]
    weight = (alpha_bar / (1 - alpha_bar)).clamp(max=5)
    error = (process.predict(raw, x_t, t).x_0 - x_0).square().flatten(1).mean(1)
    loss = process.loss(raw, x_0, x_t, t, eps)
    torch.testing.assert_close(loss, (weight * error).float(), rtol=1e-4, atol=0)


def test_min_snr_weights_have_their_closed_form():
    alpha_bar = GaussianDiffusion(ProcessConfig()).schedule.alpha_bar[T_SOME]
    snr = alpha_bar / (1 - alpha_bar)
    for prediction, per_x_0 in (("eps", snr), ("v", snr + 1), ("x_0", torch.ones(5))):
        process = GaussianDiffusion(ProcessConfig(prediction=prediction, min_snr_gamma=5))
        expected = (snr.clamp(max=5) / per_x_0).float()
        torch.testing.assert_close(process.loss_weight(T_SOME), expected, rtol=1e-5, atol=0)


def test_without_gamma_every_weight_is_one():
    process = GaussianDiffusion(ProcessConfig())
    assert torch.equal(process.loss_weight(T_SOME), torch.ones(5))


@pytest.mark.parametrize("variance", ["fixed", "learned_range"])
@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_a_samples_loss_does_not_depend_on_the_batch(variance, prediction):
    process = GaussianDiffusion(
        ProcessConfig(prediction=prediction, variance=variance, min_snr_gamma=5.0)
    )
    x_0, eps = pictures(), draw()
    x_t = process.q_sample(x_0, T_SOME, eps)
    raw = draw(channels=process.out_channels(3), seed=4)
    together = process.loss(raw, x_0, x_t, T_SOME, eps)
    alone = [
        process.loss(
            raw[i : i + 1], x_0[i : i + 1], x_t[i : i + 1], T_SOME[i : i + 1], eps[i][None]
        )
        for i in range(5)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-6, atol=0)


# -- learned variance ------------------------------------------------------------------------------


def learned(prediction="eps", **settings):
    config = ProcessConfig(prediction=prediction, variance="learned_range", **settings)
    return GaussianDiffusion(config)


def test_log_variance_runs_from_the_posteriors_to_beta():
    process = learned()
    schedule = process.schedule
    posterior, beta = schedule.posterior_log_variance[T_SOME], schedule.betas[T_SOME].log()
    for value, expected in ((-1.0, posterior), (0.0, (posterior + beta) / 2), (1.0, beta)):
        raw = torch.cat([draw(), torch.full((5, 3, 4, 4), value)], 1)
        found = process.predict(raw, draw(), T_SOME).log_variance
        assert found is not None
        torch.testing.assert_close(found, expected.float()[:, None, None, None].expand(5, 3, 4, 4))


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_the_true_posterior_has_no_divergence(prediction):
    process = learned(prediction)
    t = torch.tensor([1, 2, 250, 700, 999])
    x_0, eps = pictures(), draw()
    x_t = process.q_sample(x_0, t, eps)
    truth = target_of(process, x_0, eps, t)
    raw = torch.cat([truth, -torch.ones_like(truth)], 1)
    assert process.loss(raw, x_0, x_t, t, eps).abs().max() < 1e-6


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_the_bound_is_the_divergence_of_the_two_gaussians_in_bits(prediction):
    process = learned(prediction, schedule="linear")
    schedule = process.schedule
    t = torch.tensor([1, 2, 250, 700, 999])
    x_0, eps = pictures(dtype=torch.float64), draw(dtype=torch.float64)
    x_t = process.q_sample(x_0, t, eps)
    raw = draw(channels=6, seed=6, dtype=torch.float64)
    found = process.predict(raw, x_t, t)
    assert found.log_variance is not None

    def column(table):
        return table[t][:, None, None, None]

    before, now = column(schedule.alpha_bar_prev), column(schedule.alpha_bar)
    beta = column(schedule.betas)

    def posterior_mean(x_0):  # DDPM eq. 7
        return (before.sqrt() * beta * x_0 + (1 - beta).sqrt() * (1 - before) * x_t) / (1 - now)

    std = (beta * (1 - before) / (1 - now)).sqrt().expand_as(x_0)
    kl = kl_divergence(
        Normal(posterior_mean(x_0), std),
        Normal(posterior_mean(found.x_0), (found.log_variance / 2).exp()),
    )
    simple = GaussianDiffusion(ProcessConfig(prediction=prediction, schedule="linear"))
    bound = process.loss(raw, x_0, x_t, t, eps) - simple.loss(raw[:, :3], x_0, x_t, t, eps)
    expected = kl.flatten(1).mean(1) / math.log(2)  # weight 1e-3 * 1000 timesteps
    torch.testing.assert_close(bound, expected.float(), rtol=1e-3, atol=1e-5)


def test_the_last_term_is_a_probability_over_the_256_pixel_values():
    process = learned()
    levels = (torch.arange(256.0) / 127.5 - 1)[None, None, None, :]
    t = torch.zeros(1, dtype=torch.int64)
    prediction = 0.2
    # With x_t = alpha * prediction the prediction of eps = 0 is x_0 = prediction.
    alpha, sigma = process.alpha_sigma(t, levels)
    x_t = (alpha * prediction).expand(1, 1, 1, 256).contiguous()
    eps = (x_t - alpha * levels) / sigma
    raw = torch.cat([torch.zeros_like(levels), torch.full_like(levels, 1.0)], 1)
    bits = [
        process.loss(
            raw[..., i : i + 1], levels[..., i : i + 1], x_t[..., i : i + 1], t, eps[..., i : i + 1]
        )
        - eps[..., i].square().flatten()
        for i in range(90, 220)
    ]
    probability = (2.0 ** -torch.cat(bits).double()).sum()
    assert probability.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_the_bounds_gradient_reaches_the_variance_but_not_the_mean(prediction):
    x_0, eps = pictures(), draw()
    process = learned(prediction, min_snr_gamma=5.0)
    simple = GaussianDiffusion(ProcessConfig(prediction=prediction, min_snr_gamma=5.0))
    x_t = process.q_sample(x_0, T_SOME, eps)
    raw = (0.3 * draw(channels=6, seed=8)).requires_grad_()
    process.loss(raw, x_0, x_t, T_SOME, eps).sum().backward()
    mean = raw.detach()[:, :3].clone().requires_grad_()
    simple.loss(mean, x_0, x_t, T_SOME, eps).sum().backward()
    assert raw.grad is not None
    assert mean.grad is not None
    assert torch.equal(raw.grad[:, :3], mean.grad)
    assert raw.grad.isfinite().all()
    assert (raw.grad[1:, 3:] != 0).all()


@pytest.mark.parametrize("prediction", ["eps", "v", "x_0"])
def test_an_untrained_network_has_a_finite_loss_at_every_timestep(prediction):
    process = learned(prediction)
    t = torch.arange(1000)
    x_0 = pictures()[:1].expand(1000, -1, -1, -1)
    eps = draw(samples=1000)
    raw = torch.zeros(1000, 6, 4, 4, requires_grad=True)
    loss = process.loss(raw, x_0, process.q_sample(x_0, t, eps), t, eps)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()


# -- where tables live -----------------------------------------------------------------------------


def test_the_process_adds_nothing_to_a_models_state_and_survives_its_casting():
    model = nn.Module()
    model.process = GaussianDiffusion(ProcessConfig())
    before = model.process.q_sample(pictures(), T_SOME, draw())
    model.to(torch.bfloat16)
    assert not model.state_dict()
    assert torch.equal(model.process.q_sample(pictures(), T_SOME, draw()), before)
    assert torch.equal(copy.deepcopy(model).process.q_sample(pictures(), T_SOME, draw()), before)


def test_tables_first_used_under_inference_mode_still_serve_training():
    process = learned()
    raw = draw(channels=6)
    with torch.inference_mode():
        process.loss(raw, pictures(), draw(), T_SOME, draw())
    raw = raw.clone().requires_grad_()
    process.loss(raw, pictures(), draw(), T_SOME, draw()).sum().backward()


def test_out_channels_double_where_the_variance_is_learned():
    assert GaussianDiffusion(ProcessConfig()).out_channels(3) == 3
    assert learned().out_channels(3) == 6


def test_a_network_with_other_channels_is_refused():
    with pytest.raises(ConfigError, match=r"expected 6 channels, found 3.*out_channels to 6"):
        learned().predict(draw(), draw(), T_SOME)


def test_unusable_configurations_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="min_snr_gamma must be positive or null, found 0"):
        ProcessConfig(min_snr_gamma=0.0)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match="prediction must be eps or v or x_0, found 'x'"):
        ProcessConfig(prediction="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="variance must be fixed or learned_range"):
        ProcessConfig(variance="learned")  # type: ignore[arg-type]
