"""Around an extractor: sizes, types, and answers that contradict the spec."""

import numpy as np
import pytest
import torch
from fakes import FakeGlobal, FakeLocal

from composer_pl.errors import RepresentationError
from composer_pl.plugin import RepresentationSpec
from composer_pl.plugin.values import extractor_at, finished, to_canvas, to_value_size


class Classes(FakeLocal):
    resample = "area"

    @property
    def spec(self):
        return RepresentationSpec(shape=(1, "H", "W"), value_range=(0, 99), dtype="int64")


def test_a_canvas_is_the_short_side():
    assert to_canvas(torch.zeros(1, 3, 100, 150), FakeLocal(), (8, 8)).shape[-2:] == (32, 48)


def test_pictures_at_the_canvas_are_handed_over_as_they_are():
    image = torch.rand(1, 3, 32, 48)
    assert to_canvas(image, FakeLocal(), (8, 8)) is image


def test_classes_are_never_mixed():
    value = torch.tensor([0, 98]).repeat(8, 4)[None, None]
    for size in ((4, 4), (12, 20)):
        assert set(to_value_size(value, Classes(), size).unique().tolist()) <= {0, 98}


def test_bicubic_maps_stay_in_range():
    plugin = FakeLocal()
    plugin.resample = "bicubic"
    value = torch.ones(1, 1, 8, 8)
    value[..., ::2] = -1
    resized = to_value_size(value, plugin, (20, 20))
    assert resized.abs().max() <= 1


def test_a_local_extractor_is_wrapped_and_a_global_one_is_not():
    extractor = FakeLocal().build_extractor()
    assert extractor_at(extractor, FakeLocal(), (5, 7))(torch.rand(1, 3, 32, 32)).shape[-2:] == (
        5,
        7,
    )
    assert extractor_at(extractor, FakeGlobal(), (5, 7)) is extractor


@pytest.mark.parametrize(
    ("plugin", "answer", "found"),
    [
        (FakeGlobal(), None, "expected a tensor, found NoneType"),
        (FakeGlobal(), np.zeros((2, 3)), "expected a tensor, found ndarray"),
        (FakeGlobal(), torch.zeros(2, 3, dtype=torch.int64), "expected float32, found torch.int64"),
        (Classes(), torch.zeros(2, 1, 8, 8), "expected int64, found torch.float32"),
        (FakeLocal(), torch.zeros(2, 9, 9), r"expected shape \(2, 1, 8, 8\), found \(2, 9, 9\)"),
        (FakeLocal(), torch.zeros(2, 1, 0, 9), r"found \(2, 1, 0, 9\)"),
        (FakeLocal(), torch.zeros(1, 1, 9, 9), r"found \(1, 1, 8, 8\)"),
        (FakeGlobal(), torch.full((2, 3), torch.inf), "found NaN or Inf"),
        (FakeGlobal(), torch.full((2, 3), 1.5), r"values in \[-1.0, 1.0\], found \[1.5, 1.5\]"),
        (Classes(), torch.full((2, 1, 8, 8), 100), r"values in \[0, 99\], found \[100, 100\]"),
    ],
)
def test_an_answer_that_contradicts_the_spec_is_named(plugin, answer, found):
    with pytest.raises(RepresentationError, match=f"'thing' with {type(plugin).__name__}.*{found}"):
        finished(answer, plugin, (8, 8), rows=2, name="thing")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_values_have_the_declared_type_whatever_the_network_computes_in(dtype):
    value = finished(torch.zeros(2, 3, dtype=dtype), FakeGlobal(), (8, 8), rows=2, name="thing")
    assert value.dtype == torch.float32
