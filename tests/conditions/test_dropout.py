"""Joint dropout: rates, joint events, purity, availability."""

import pytest
import torch

from composer_pl.conditions.dropout import DropoutPolicy, expected_keep_rates, sample_keep_mask
from composer_pl.errors import ConfigError

PROBS = [0.5, 0.5, 0.7]
SAMPLES = 4000


def masks(rule: str, *, samples: int = SAMPLES, batch: int = 50, **events: float) -> torch.Tensor:
    policy = DropoutPolicy(rule=rule, **events)  # type: ignore[arg-type]
    keys = torch.arange(samples)
    return torch.cat([sample_keep_mask(policy, PROBS, chunk) for chunk in keys.split(batch)], 1)


@pytest.mark.parametrize("rule", ["sample", "lab-batch", "uniform-size"])
def test_observed_keep_rates_agree_with_the_expected_ones(rule):
    observed = masks(rule).float().mean(1)
    # Four standard deviations of a mean of 4,000; the lab rule saturates in small batches, which
    # lowers its rate by less than 0.02.
    allowed = 4 * 0.5 / SAMPLES**0.5 + (0.02 if rule == "lab-batch" else 0)
    expected = torch.tensor(expected_keep_rates(DropoutPolicy(rule=rule), PROBS))  # type: ignore[arg-type]
    assert (observed - expected).abs().max() < allowed


def test_the_paper_rule_keeps_half_and_a_third():
    assert expected_keep_rates(DropoutPolicy(), PROBS) == pytest.approx([0.5, 0.5, 0.34])


def test_the_lab_rule_keeps_two_and_one_fifth():
    policy = DropoutPolicy(rule="lab-batch")
    assert expected_keep_rates(policy, PROBS) == pytest.approx([0.4, 0.4, 0.2])


def test_joint_events_have_their_probabilities():
    keep = masks("sample")
    free = 0.8
    none = 0.1 + free * 0.5 * 0.5 * 0.7
    every = 0.1 + free * 0.5 * 0.5 * 0.3
    assert (~keep).all(0).float().mean() == pytest.approx(none, abs=0.03)
    assert keep.all(0).float().mean() == pytest.approx(every, abs=0.03)


def test_conditions_are_independent_inside_the_free_group():
    keep = masks("sample", p_drop_all=0.0, p_keep_all=0.0).float()
    correlation = torch.corrcoef(keep)
    assert (correlation - torch.eye(3)).abs().max() < 4 / SAMPLES**0.5


def test_subset_sizes_are_uniform_under_the_uniform_rule():
    sizes = masks("uniform-size").sum(0).bincount(minlength=4) / SAMPLES
    assert (sizes - 0.25).abs().max() < 0.03


@pytest.mark.parametrize("rule", ["sample", "uniform-size"])
def test_a_sample_mask_depends_on_its_key_alone(rule):
    assert torch.equal(masks(rule, samples=60, batch=60), masks(rule, samples=60, batch=7))


def test_unavailable_values_are_never_kept():
    available = torch.ones(3, 40, dtype=torch.bool)
    available[0, ::2] = False
    policy = DropoutPolicy(p_keep_all=1.0, p_drop_all=0.0)
    keep = sample_keep_mask(policy, PROBS, torch.arange(40), available=available)
    assert torch.equal(keep, available)


@pytest.mark.parametrize("events", [(-0.1, 0.1), (0.6, 0.6), (float("nan"), 0.1)])
def test_impossible_probabilities_are_refused(events):
    with pytest.raises(ConfigError, match="at most 1 together"):
        DropoutPolicy(p_drop_all=events[0], p_keep_all=events[1])
