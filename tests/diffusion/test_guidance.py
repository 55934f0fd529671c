"""Facts about guidance between two condition sets."""

import pytest
import torch

from composer_pl.diffusion.guidance import concat_signals, guided
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.types import ConditionSignals


def signals(seed, samples=2, tokens=3):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    return ConditionSignals(
        time=draw(samples, 5),
        context=draw(samples, tokens, 4),
        context_mask=draw(samples, tokens) > 0,
        hint=draw(samples, 2, 4, 4),
    )


class Network:
    """Answers with a function of its inputs that uses every signal, and counts its calls."""

    def __init__(self, channels=3):
        self.channels = channels
        self.batches = []

    def __call__(self, x_t, t, signals):
        self.batches.append(len(x_t))
        told = torch.zeros(len(x_t))
        for value in (signals.time, signals.context, signals.hint):
            if value is not None:
                told = told + value.flatten(1).mean(1)
        raw = torch.sin(x_t + told[:, None, None, None] + 0.01 * t[:, None, None, None])
        return raw.repeat(1, self.channels // 3, 1, 1)


def inputs(samples=2):
    x_t = torch.randn(samples, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    return x_t, torch.arange(samples) * 300 + 100


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("weight", [-0.5, 0.0, 0.4, 3.0])
def test_eps_is_combined_from_both_sets_also_under_v_prediction(prediction, weight):
    process = GaussianDiffusion(ProcessConfig(prediction=prediction))
    network, (x_t, t) = Network(), inputs()
    c1, c2 = signals(1), signals(2)
    found = guided(network, c2, c1, weight, process, clip_x_0=False)(x_t, t)
    one = process.predict(network(x_t, t, c1), x_t, t).eps
    two = process.predict(network(x_t, t, c2), x_t, t).eps
    torch.testing.assert_close(found.eps, weight * two + (1 - weight) * one, rtol=1e-5, atol=1e-5)


def test_both_branches_run_in_one_batch():
    process = GaussianDiffusion(ProcessConfig())
    network = Network()
    guided(network, signals(2), signals(1), 3.0, process)(*inputs())
    assert network.batches == [4]


@pytest.mark.parametrize(("c1", "weight"), [(None, 3.0), (signals(1), 1.0)])
def test_without_a_second_set_or_at_weight_one_only_c2_runs(c1, weight):
    process = GaussianDiffusion(ProcessConfig())
    network, (x_t, t) = Network(), inputs()
    found = guided(network, signals(2), c1, weight, process, clip_x_0=False)(x_t, t)
    assert network.batches == [2]
    assert torch.equal(found.eps, network(x_t, t, signals(2)))


def test_learned_variance_is_that_of_c2():
    process = GaussianDiffusion(ProcessConfig(variance="learned_range"))
    network, (x_t, t) = Network(channels=6), inputs()
    found = guided(network, signals(2), signals(1), 3.0, process)(x_t, t)
    alone = process.predict(network(x_t, t, signals(2)), x_t, t)
    assert found.log_variance is not None
    assert alone.log_variance is not None
    torch.testing.assert_close(found.log_variance, alone.log_variance)


def test_x_0_is_clipped_by_default_and_eps_follows():
    process = GaussianDiffusion(ProcessConfig())
    x_t, t = inputs()
    found = guided(Network(), signals(2), signals(1), 3.0, process)(x_t, t)
    assert found.x_0.abs().max() == 1
    alpha, sigma = process.alpha_sigma(t, x_t)
    torch.testing.assert_close(alpha * found.x_0 + sigma * found.eps, x_t)


def test_concat_puts_a_first_and_keeps_every_row():
    a, b = signals(1), signals(2, samples=3)
    both = concat_signals(a, b)
    for name in ("time", "context", "context_mask", "hint"):
        joined = getattr(both, name)
        assert torch.equal(joined[:2], getattr(a, name))
        assert torch.equal(joined[2:], getattr(b, name))


def test_concat_masks_out_the_tokens_it_fills_in():
    a, b = signals(1, tokens=2), signals(2, tokens=5)
    for both, short, long in (
        (concat_signals(a, b), slice(0, 2), slice(2, 4)),
        (concat_signals(b, a), slice(2, 4), slice(0, 2)),
    ):
        assert both.context is not None
        assert both.context_mask is not None
        assert torch.equal(both.context[short, :2], a.context)
        assert torch.equal(both.context_mask[short, :2], a.context_mask)
        assert not both.context[short, 2:].any()
        assert not both.context_mask[short, 2:].any()
        assert torch.equal(both.context[long], b.context)
        assert torch.equal(both.context_mask[long], b.context_mask)


def test_concat_fills_what_one_side_lacks_with_zeros():
    full, nothing = signals(1), ConditionSignals()
    both = concat_signals(full, nothing)
    for name in ("time", "context", "context_mask", "hint"):
        joined = getattr(both, name)
        assert len(joined) == 4
        assert torch.equal(joined[:2], getattr(full, name))
        assert not joined[2:].any()
    assert torch.equal(concat_signals(nothing, full).hint[2:], full.hint)
    assert concat_signals(nothing, nothing) == ConditionSignals()


def test_concat_of_partial_sets_takes_the_batch_size_from_what_is_there():
    time = ConditionSignals(time=torch.ones(2, 5))
    hint = ConditionSignals(hint=torch.ones(2, 1, 4, 4))
    both = concat_signals(time, hint)
    assert both.time is not None
    assert both.hint is not None
    assert both.context is None
    assert both.time.sum(1).tolist() == [5, 5, 0, 0]
    assert both.hint.sum((1, 2, 3)).tolist() == [0, 0, 16, 16]
