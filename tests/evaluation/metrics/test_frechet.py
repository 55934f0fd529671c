"""The Frechet distance against closed forms, SciPy and torchmetrics; moments in parts."""

import math
import warnings

import numpy as np
import pytest
import torch

from composer_pl.errors import UserInputError
from composer_pl.evaluation.metrics.frechet import Moments, frechet_distance, gaussian_distance


def features(count, width, seed, *, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5
    spread = torch.linspace(1.0, 0.05, width, dtype=torch.float64)
    drawn = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return scale * (drawn * spread) @ mix + torch.randn(width, generator=generator).double()


def moments(values, network=""):
    gathered = Moments(network)
    gathered.update(values)
    return gathered


def distance(a, b):
    return frechet_distance(moments(a), moments(b))


def scipy_distance(a, b):
    from scipy import linalg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = linalg.sqrtm(np.cov(a.numpy(), rowvar=False) @ np.cov(b.numpy(), rowvar=False))
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return float(apart + torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * np.trace(root).real)


def test_diagonal_gaussians_have_the_closed_form():
    deviations_a, deviations_b = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 0.25, 0.5])
    mean_a, mean_b = torch.tensor([1.0, 0.0, -2.0]), torch.tensor([0.0, 4.0, -2.0])
    found = gaussian_distance(
        mean_a, deviations_a.square().diag(), mean_b, deviations_b.square().diag()
    )
    expected = 17.0 + float((deviations_a - deviations_b).square().sum())
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_shift_costs_its_square():
    values = features(500, 16, 0)
    assert distance(values, values + 0.5) == pytest.approx(16 * 0.25, rel=1e-9)


def test_a_scale_costs_the_square_of_its_excess_in_every_direction():
    values = features(500, 16, 0)
    values = values - values.mean(0)
    expected = (3.0 - 1.0) ** 2 * float(torch.cov(values.T).trace())
    assert distance(values, 3.0 * values) == pytest.approx(expected, rel=1e-9)


def test_two_dimensions_have_the_closed_form_of_the_root():
    """In two dimensions tr((AB)^(1/2)) = sqrt(tr(AB) + 2 sqrt(det(AB)))."""
    a = torch.tensor([[2.0, 0.7], [0.7, 1.0]]).double()
    b = torch.tensor([[0.5, -0.3], [-0.3, 3.0]]).double()
    product = a @ b
    root = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.linalg.det(product))))
    expected = float(a.trace() + b.trace()) - 2 * root
    zero = torch.zeros(2).double()
    assert gaussian_distance(zero, a, zero, b) == pytest.approx(expected, rel=1e-12)


def test_it_does_not_depend_on_the_basis():
    a, b = features(300, 12, 1), features(300, 12, 2)
    turn = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64)).Q
    assert distance(a @ turn, b @ turn) == pytest.approx(distance(a, b), rel=1e-10)


def test_it_is_symmetric():
    a, b = features(300, 12, 1), features(200, 12, 2)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-12)


@pytest.mark.parametrize("width", [3, 64, 200])
def test_scipy_agrees(width):
    a, b = features(4 * width, width, 3), features(3 * width, width, 4)
    assert distance(a, b) == pytest.approx(scipy_distance(a, b), rel=1e-6)


def test_torchmetrics_agrees():
    from torchmetrics.image.fid import _compute_fid

    a, b = features(400, 96, 5), features(300, 96, 6)
    theirs = _compute_fid(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))
    assert distance(a, b) == pytest.approx(float(theirs), rel=1e-6)


def test_a_set_is_at_no_distance_from_itself():
    values = features(300, 64, 7)
    assert distance(values, values) < 1e-12 * float(torch.cov(values.T).trace())


def test_fewer_pictures_than_features_keep_the_closed_form():
    """Rank 19 in 256 dimensions: a scale still costs (s - 1)^2 of the trace."""
    values = features(20, 256, 8)
    values = values - values.mean(0)
    expected = 0.25 * float(torch.cov(values.T).trace())
    assert distance(values, 1.5 * values) == pytest.approx(expected, rel=1e-9)


def test_singular_gaussians_on_other_axes_share_nothing():
    zero = torch.zeros(4).double()
    a, b = torch.tensor([1.0, 2.0, 0, 0]).diag(), torch.tensor([0, 0, 3.0, 4.0]).diag()
    assert gaussian_distance(zero, a, zero, b) == pytest.approx(10.0, rel=1e-12)


@pytest.mark.parametrize("small", [1e-6, 1e-10, 1e-14, 0.0])
def test_nearly_singular_gaussians_keep_the_closed_form(small):
    """Rotated diagonals of condition up to infinity: off by at most rounding's square root."""
    deviations = torch.tensor([1.0] * 8 + [small**0.5] * 8, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64)).Q
    covariance = turn @ deviations.square().diag() @ turn.T
    zero = torch.zeros(16).double()
    found = gaussian_distance(zero, covariance, zero, 4 * covariance)
    # Below 16 eps = 3.6e-15 of the largest, a direction cannot be told from rounding.
    assert found == pytest.approx(float(deviations.square().sum()), rel=1e-9)


def test_constant_features_are_at_the_distance_of_their_means():
    constant = torch.ones(5, 3).double()
    assert distance(constant, constant + 2) == pytest.approx(12.0)


def test_large_means_lose_no_digits():
    a, b = features(400, 8, 1), features(400, 8, 2)
    shifted = distance(a + 1e5, b + 1e5)
    assert shifted == pytest.approx(distance(a, b), rel=1e-7)


def test_merged_parts_are_one_pass():
    values = features(101, 32, 9) + 100
    parts = [moments(part) for part in values.split([1, 40, 60])]
    merged = Moments()
    for part in reversed(parts):
        merged.merge(part)
    whole = moments(values)
    assert merged.count == 101
    torch.testing.assert_close(merged.mean, whole.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(merged.covariance, torch.cov(values.T), rtol=1e-11, atol=1e-13)


def test_an_empty_part_changes_nothing():
    values = features(10, 4, 0)
    gathered = moments(values)
    gathered.merge(Moments())
    gathered.update(values[:0])
    torch.testing.assert_close(gathered.covariance, torch.cov(values.T))


def test_merging_leaves_the_parts_alone():
    first, second = moments(features(10, 4, 0)), moments(features(10, 4, 1))
    before = second.covariance.clone()
    whole = Moments()
    whole.merge(second)
    whole.merge(first)
    torch.testing.assert_close(second.covariance, before, rtol=0, atol=0)


def test_moments_come_back_from_a_file(tmp_path):
    from safetensors.torch import load_file, save_file

    gathered = moments(features(10, 4, 0), network="ab" * 32)
    save_file(gathered.to_dict(), tmp_path / "moments.safetensors")
    back = Moments.from_dict(load_file(tmp_path / "moments.safetensors"))
    assert (back.network, back.count) == (gathered.network, 10)
    torch.testing.assert_close(back.covariance, gathered.covariance, rtol=0, atol=0)


def test_empty_moments_come_back():
    back = Moments.from_dict(Moments("ab").to_dict())
    assert (back.network, back.count, back.width) == ("ab", 0, 0)


def test_float32_features_are_summed_in_float64():
    gathered = moments(torch.rand(10, 4))
    assert gathered.covariance.dtype == torch.float64


def test_features_of_another_network_are_refused():
    a, b = moments(features(9, 4, 0), "aaaa"), moments(features(9, 4, 1), "bbbb")
    with pytest.raises(UserInputError, match="one network, found aaaa and bbbb"):
        frechet_distance(a, b)
    with pytest.raises(UserInputError, match="one network"):
        a.merge(b)


def test_features_of_another_width_are_refused():
    a = moments(features(9, 4, 0))
    with pytest.raises(UserInputError, match="expected width 4, found 5"):
        a.update(features(9, 5, 0))
    with pytest.raises(UserInputError, match="widths 4 and 5"):
        frechet_distance(a, moments(features(9, 5, 0)))


def test_one_picture_has_no_covariance():
    with pytest.raises(UserInputError, match="at least 2 pictures, found 1"):
        frechet_distance(moments(features(1, 4, 0)), moments(features(9, 4, 0)))


def test_features_that_are_no_numbers_are_refused():
    values = features(9, 4, 0)
    values[3, 1] = float("nan")
    with pytest.raises(UserInputError, match="NaN"):
        moments(values)


def test_tensors_that_are_no_moments_are_refused():
    with pytest.raises(UserInputError, match="Reading moments"):
        Moments.from_dict({"mean": torch.zeros(3)})
