"""Compute of the paper's system, and curves over training and guidance."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from composer_pl.errors import UserInputError
from composer_pl.evaluation.measurement import Measurement

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "coco-zero-shot"))

import compute
import curve


def number(value, steps, *, guidance=3.0, measure="FID, tiny", half=None, side=64):
    return Measurement(
        protocol="coco-fid",
        measure=measure,
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        interval="over pictures",
        count=10,
        of_protocol=False,
        settings={
            "model": {"base": str(steps)},
            "conditions": "caption only",
            "side": side,
            "recipe": {"guidance": guidance},
            "context": {"training": {"optimiser steps": f"{steps:,}"}},
        },
    )


def test_totals_follow_from_the_forward_passes(monkeypatch):
    monkeypatch.setattr(compute, "forward_flops", lambda stage: 10**12)
    stage = compute.Stage("x", "x.yaml", batch=100, steps=10, draws=20, crops=2)
    (one, total) = compute.rows((stage,))
    assert one[:4] == ["x", "1,000", "1.00e+03", "3.0e+15"]
    assert one[5] == f"{10**12 * 2 * 20 * 30_000:.1e}"
    assert total[3] == "3.0e+15"


@pytest.mark.slow
def test_the_base_network_is_counted_as_the_planner_counts():
    """757 GMAC of the backbone by an independent count (design notes), and little beside it."""
    stage = next(stage for stage in compute.STAGES if stage.config == "base.yaml")
    assert compute.forward_flops(stage) == pytest.approx(2 * 757e9, rel=0.005)


def test_checkpoints_become_a_curve_in_the_order_of_their_steps():
    files = [[number(5.0, 2_000, half=0.5)], [number(9.0, 1_000)], [number(4.5, 2_000, half=0.25)]]
    (plot,) = curve.curves(files)
    assert plot.title == "FID, tiny over training"
    assert plot.series == {"caption only, guidance 3": [(1_000, 9.0), (2_000, 4.5, 4.25, 4.75)]}


def test_checkpoints_measured_in_different_ways_are_refused():
    with pytest.raises(UserInputError, match="side: 64 against 128"):
        curve.curves([[number(5.0, 1_000)], [number(4.0, 2_000, side=128)]])


def test_a_model_that_tells_no_steps_is_refused():
    one = number(5.0, 1_000)
    settings = {**one.settings, "context": {}}
    with pytest.raises(UserInputError, match="training steps"):
        curve.steps_of(Measurement(**{**vars(one), "settings": settings}))


def test_one_model_becomes_a_curve_over_guidance():
    files = [[number(2.0, 1_000, guidance=g, half=0.5)] for g in (3.0, 1.5)]
    (plot,) = curve.curves(files, curve.AXES["guidance"])
    assert plot.title == "FID, tiny over guidance"
    assert plot.series == {"caption only": [(1.5, 2.0, 1.5, 2.5), (3.0, 2.0, 1.5, 2.5)]}
    root = ElementTree.fromstring(curve.sheet([plot, plot, plot]))
    assert root.attrib["viewBox"] == "0 0 760 520"
    titles = [g.findtext("{*}title") for g in root.findall("{*}g")]
    assert titles == ["FID, tiny over guidance"] * 3


def test_two_models_are_no_curve_over_guidance():
    files = [[number(5.0, 1_000)], [number(4.0, 2_000, guidance=1.5)]]
    with pytest.raises(UserInputError, match="another model"):
        curve.curves(files, curve.AXES["guidance"])
