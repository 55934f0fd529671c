"""Keyed draws: pure, independent, of the right distribution."""

import pytest
import torch

from composer_pl.randomness import derive_key, keyed_generator, keyed_normal, keyed_uniform


def test_a_key_is_the_same_on_every_machine():
    assert derive_key(0, 1, 2, "noise") == 6959353392428330699


def test_keys_tell_types_and_borders_apart():
    assert len({derive_key(1, 2), derive_key(12), derive_key("1", 2), derive_key("12")}) == 4


def test_keys_fit_a_signed_64_bit_tensor():
    keys = [derive_key(i) for i in range(1000)]
    assert torch.tensor(keys).min() >= 0
    assert len(set(keys)) == 1000


def test_a_draw_depends_on_its_own_key_and_purpose_alone():
    keys = torch.arange(6)
    draws = keyed_normal(keys, "eps", (3, 4))
    torch.rand(7)  # whatever else is drawn
    assert torch.equal(draws[2:4], keyed_normal(keys[2:4], "eps", (3, 4)))
    assert not torch.equal(draws, keyed_normal(keys, "x_T", (3, 4)))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    keyed_normal(torch.arange(5), "eps", (2,))
    keyed_generator(1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("draw", "mean", "std"), [(keyed_normal, 0, 1), (keyed_uniform, 0.5, 12**-0.5)]
)
def test_draws_over_keys_have_the_right_moments(draw, mean, std):
    numbers = draw(torch.arange(4000), "test", (1,))
    assert float(numbers.mean()) == pytest.approx(mean, abs=4 * std / 4000**0.5)
    assert float(numbers.std()) == pytest.approx(std, rel=0.05)
