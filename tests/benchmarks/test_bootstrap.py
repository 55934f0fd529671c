import math

import torch
from bootstrap import interval, listed, mean_interval, shown

from composer_pl.evaluation.intervals import mean_interval as library_interval


def test_lists_are_the_library_s_intervals_with_four_decimals():
    values = torch.rand(50, generator=torch.Generator().manual_seed(0))
    assert mean_interval(values) == listed(library_interval(values))
    assert mean_interval(torch.tensor([1.0, math.nan])) == [1.0, 1.0, 1.0]


def test_nothing_defined_has_no_interval():
    found = interval(torch.full((4,), math.nan), 0.5)
    assert found[0] == 0.5
    assert math.isnan(found[1])


def test_numbers_are_shown_with_their_interval():
    assert shown([0.5, 0.25, 0.75]) == "0.500 [0.250, 0.750]"
    assert shown([0.5, 0.25, 0.75], percent=True) == "50% [25%, 75%]"
