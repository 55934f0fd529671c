"""Panels of a picture taken apart."""

from fakes import FakeGlobal, FakeLocal
from PIL import Image

from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.panels import decomposition_rows
from composer_pl.errors import MissingWeightsError


def test_the_first_panel_is_the_picture_photo_or_not():
    decomposer = Decomposer(
        {"mean": FakeGlobal(), "grey": FakeLocal()}, value_size=(16, 16), canvas=32
    )
    picture = Image.new("RGB", (40, 60), "red")
    parts = decomposer.decompose(picture, names=["mean"])
    missing = {"grey": MissingWeightsError("no weights")}
    (row,) = decomposition_rows(decomposer, picture, parts, missing)
    assert [panel.title for panel in row] == ["picture", "mean", "grey"]
    assert row[0].content[:, 0, 0].tolist() == [1, 0, 0]
    assert row[2].content == "weights or library missing"
