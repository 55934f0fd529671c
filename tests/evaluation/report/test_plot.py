"""Plots put points where the axes say."""

import math
import re
from xml.etree import ElementTree

import pytest

from composer_pl.evaluation.report import Plot
from composer_pl.evaluation.report.plot import draw_plot, log_ticks


def marks(svg):
    """Places of the round marks of the first series."""
    found = re.findall(r'class="mark" d="M([\d.]+) ([\d.]+)a', svg)
    return [(float(x) + 3.5, float(y)) for x, y in found]


def test_points_lie_on_a_straight_line_where_their_numbers_do():
    plot = Plot("p", "x", "y", {"a": [(x, 2 * x + 1) for x in (0, 1, 3, 7)]})
    places = marks(draw_plot(plot, width=600, height=300))
    (x0, y0), *_, (x1, y1) = places
    for x, (across, up) in zip((0, 1, 3, 7), places, strict=True):
        assert across == pytest.approx(x0 + (x1 - x0) * x / 7, abs=0.11)
        assert up == pytest.approx(y0 + (y1 - y0) * x / 7, abs=0.11)
    assert x0 < x1 <= 600
    assert 0 <= y1 < y0 <= 300


def test_a_logarithmic_axis_spaces_powers_evenly():
    plot = Plot("p", "x", "y", {"a": [(x, 1.0) for x in (1, 10, 100)]}, log_x=True)
    places = marks(draw_plot(plot, width=600, height=300))
    assert places[1][0] - places[0][0] == pytest.approx(places[2][0] - places[1][0], abs=0.11)


def test_a_gap_stays_a_gap_and_a_band_covers_its_interval():
    points = [(0, 0.0, -1.0, 1.0), (1, 0.5, 0.0, 1.0), (2, math.nan), (3, 1.0), (4, 1.5)]
    svg = draw_plot(Plot("p", "x", "y", {"a": points}), width=600, height=300)
    assert svg.count('class="line"') == 2
    assert svg.count('class="band"') == 1
    assert len(marks(svg)) == 4


def test_the_drawing_is_well_formed_and_names_are_escaped():
    plot = Plot('<"p">', "x & x", "<y>", {"<a>": [(1e6, 3.0, 2.0, 4.0)]})
    svg = ElementTree.fromstring(draw_plot(plot, width=360, height=260))
    texts = ["".join(text.itertext()) for text in svg.iter() if text.tag in ("text", "title")]
    assert {"x & x", "<y>", "<a>: 1e+06, 3 [2, 4]"} <= set(texts)


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (1, 10, 5, [1, 2, 5, 10]),
        (1000, 256_000, 4, [1000, 10_000, 100_000]),
        (1, 1e9, 4, [1, 1e3, 1e6, 1e9]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_round_and_few(low, high, most, expected):
    assert log_ticks(low, high, most) == pytest.approx(expected)
