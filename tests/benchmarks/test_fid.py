"""The effect of preprocessing, measured on photos that show it."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "fid"))

from preprocessing import measure, square

from composer_pl.evaluation.metrics.features import feature_network


@pytest.fixture(scope="module")
def photos():
    """Colours with soft borders, at 300 px."""
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 256, (8, 40, 40, 3), dtype=np.uint8)
    return [Image.fromarray(row).resize((300, 300)) for row in rows]


def test_every_change_moves_the_distance_and_a_lower_quality_more(photos):
    rows = {row["change"]: row for row in measure(feature_network("tiny"), photos)}
    assert rows.pop("none") == {"change": "none", "to itself": 0.0, "of halves": 1.0}
    assert len(rows) == 6
    assert all(row["to itself"] > 0 and row["of halves"] != 1 for row in rows.values())
    better, worse = (rows[f"stored as JPEG, quality {quality}"] for quality in (95, 75))
    assert worse["to itself"] > better["to itself"]


def test_the_middle_square_is_cut(tmp_path):
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(tmp_path / "photo.png")
    assert square(tmp_path / "photo.png").size == (30, 30)
