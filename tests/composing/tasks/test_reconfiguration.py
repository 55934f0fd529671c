"""Reconfiguration: which parts stand in both sets, and that the edit alone tells them apart."""

import pytest
import torch

from composer_pl.composing.drawing import make
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import TaskNeedsError, TaskSettings
from composer_pl.composing.tasks.reconfiguration import kept_beside, reconfiguration
from composer_pl.errors import UserInputError
from composer_pl.models.recipe import SamplingRecipe

FAST = TaskSettings(recipe=SamplingRecipe(sampler="ddim", steps=3, clip_x_0=False))
SKETCH = Parts({"sketch": torch.ones(1, 32, 32)})


def test_sets_differ_in_the_edited_part_alone(composer, photo):
    drawing = reconfiguration(composer, photo, SKETCH, settings=FAST, caption="a bee")
    assert set(drawing.parts) == set(drawing.against) == {
        "caption", "semantics", "color", "sketch"
    }  # fmt: skip
    own = composer.decompose(photo, names=["sketch"])["sketch"]
    for name in drawing.parts:
        same = torch.equal(drawing.parts[name], drawing.against[name])
        assert same == (name != "sketch")
    assert torch.equal(drawing.parts["sketch"], SKETCH["sketch"])
    assert torch.equal(drawing.against["sketch"], own)
    assert drawing.n == 1
    assert drawing.noise is not None
    assert len(make(composer, drawing).pictures) == 1


def test_what_contradicts_the_edit_is_not_kept(composer):
    assert kept_beside(composer, SKETCH) == ["semantics", "color"]
    palette = Parts({"color": torch.zeros(3)})
    assert kept_beside(composer, palette) == ["sketch", "depth", "instances", "intensity"]
    assert kept_beside(composer, SKETCH | palette) == []
    assert len(kept_beside(composer, Parts({"caption": torch.zeros(8)}))) == 6


def test_an_unedited_part_gives_the_round_trip(composer, photo):
    own = composer.decompose(photo, names=["sketch"])
    drawing = reconfiguration(composer, photo, own, keep=["color"], settings=FAST)
    assert drawing.parts == drawing.against


def test_mistakes_are_one_line_each(composer, poor, photo):
    with pytest.raises(UserInputError, match="expected an edited part, found none"):
        reconfiguration(composer, photo, Parts({}))
    with pytest.raises(TaskNeedsError, match="'color'"):
        reconfiguration(poor, photo, Parts({"color": torch.zeros(3)}))
    with pytest.raises(UserInputError, match="expected a picture, whose pixels are walked back"):
        reconfiguration(composer, Parts({}), SKETCH)
    with pytest.raises(UserInputError, match="sampler dpmpp_2m"):
        reconfiguration(composer, photo, SKETCH, settings=TaskSettings(recipe=SamplingRecipe()))
