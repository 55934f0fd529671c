"""The kernel distance against torchmetrics and its own definition."""

import pytest
import torch

from composer_pl.errors import UserInputError
from composer_pl.evaluation.metrics.kid import kernel_distance


def test_torchmetrics_agrees_on_whole_sets():
    from torchmetrics.image.kid import poly_mmd

    a, b = torch.randn(40, 16).double(), torch.randn(40, 16).double() + 0.5
    found, spread = kernel_distance(a, b, size=40, subsets=2, seed=0)
    assert found == pytest.approx(float(poly_mmd(a, b)), rel=1e-10)
    assert spread == pytest.approx(0.0, abs=1e-12)


def test_the_definition_in_loops_agrees():
    a, b = torch.randn(5, 3).double(), torch.randn(5, 3).double()

    def kernel(x, y):
        return (float(x @ y) / 3 + 1) ** 3

    within = sum(
        kernel(s[i], s[j]) / 20 for s in (a, b) for i in range(5) for j in range(5) if i != j
    )
    across = sum(kernel(x, y) / 25 for x in a for y in b)
    found, _ = kernel_distance(a, b, size=5, subsets=1, seed=0)
    assert found == pytest.approx(within - 2 * across, rel=1e-10)


def test_it_is_unbiased_where_the_sets_are_alike():
    generator = torch.Generator().manual_seed(1)
    pool = torch.randn(4000, 4, generator=generator)
    found, spread = kernel_distance(pool[:2000], pool[2000:], size=50, subsets=200, seed=0)
    assert abs(found) < 4 * spread / 200**0.5


def test_a_seed_says_which_subsets():
    a, b = torch.randn(50, 4), torch.randn(60, 4)
    first = kernel_distance(a, b, size=10, subsets=3, seed=1)
    assert kernel_distance(a, b, size=10, subsets=3, seed=1) == first
    assert kernel_distance(a, b, size=10, subsets=3, seed=2) != first
    assert first[1] > 0


def test_a_subset_larger_than_a_set_is_refused():
    with pytest.raises(UserInputError, match=r"at least 100 pictures .* 50 and 60"):
        kernel_distance(torch.randn(50, 4), torch.randn(60, 4), size=100, subsets=3, seed=1)


@pytest.mark.parametrize(("size", "subsets"), [(1, 3), (10, 0)])
def test_sizes_without_sense_are_refused(size, subsets):
    with pytest.raises(UserInputError, match="at least 2 pictures"):
        kernel_distance(torch.randn(50, 4), torch.randn(60, 4), size=size, subsets=subsets, seed=1)


def test_features_that_are_no_numbers_are_refused():
    broken = torch.full((5, 2), float("nan"))
    with pytest.raises(UserInputError, match="finite"):
        kernel_distance(torch.randn(5, 2), broken, size=3, subsets=1, seed=0)
