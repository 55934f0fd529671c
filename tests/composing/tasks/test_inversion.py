"""Inversion as a task: the noise is that of c1, and the picture comes back under the same set."""

from dataclasses import replace

import pytest
import torch

from composer_pl.composing.drawing import make
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import TaskNeedsError, TaskSettings
from composer_pl.composing.tasks.inversion import inversion
from composer_pl.composing.tasks.region import within
from composer_pl.errors import ComposerPLError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import ConditionGuidance, SamplingRecipe


def walking(steps, guidance=1.0):
    recipe = SamplingRecipe(sampler="ddim", steps=steps, guidance=guidance, clip_x_0=False)
    return TaskSettings(recipe=recipe)


def test_the_noise_is_that_of_the_first_set(composer, photo):
    parts = composer.decompose(photo, names=["sketch", "color"])
    drawing = inversion(
        composer, photo, parts.only("sketch"), parts.only("color"), settings=walking(3)
    )
    recipe = walking(3).recipe
    noise = composer.invert(photo, parts.only("sketch"), recipe=recipe)
    assert torch.equal(drawing.noise, noise)
    assert set(drawing.parts) == {"color"}
    assert set(drawing.against) == {"sketch"}
    assert not torch.equal(composer.invert(photo, Parts({}), recipe=recipe), noise)


def test_between_equal_sets_guidance_has_nothing_to_enlarge(composer, photo):
    parts = composer.decompose(photo, names=["sketch"])
    plain, strong = (
        make(composer, inversion(composer, photo, parts, settings=walking(3, weight))).pictures[0]
        for weight in (1.0, 4.0)
    )
    difference = torch.tensor(list(plain.tobytes())).int() - torch.tensor(list(strong.tobytes()))
    assert difference.abs().max() <= 1


def test_more_steps_bring_the_picture_closer(composer, photo):
    parts = composer.decompose(photo, names=["sketch"])
    target = composer.target(photo)

    def error(steps):
        drawing = inversion(composer, photo, parts, settings=walking(steps))
        drawn = composer.draw(
            drawing.parts, recipe=drawing.recipe, noise=drawing.noise, against=drawing.against
        )
        return (drawn - target).abs().mean()

    assert error(16) < 0.6 * error(3)


def test_a_part_that_the_model_does_not_know_is_one_line(poor, photo):
    with pytest.raises(TaskNeedsError, match="inversion"):
        inversion(poor, photo, Parts({"color": torch.zeros(3)}))


@pytest.fixture
def asleep(monkeypatch):
    """No network may run."""

    def predict(*_):
        raise AssertionError("a network ran")

    monkeypatch.setattr(ComposerModel, "predict", predict)


def weighing(name, own):
    recipe = replace(walking(2).recipe, conditions={name: own})
    return TaskSettings(recipe=recipe)


@pytest.mark.usefixtures("asleep")
def test_weights_of_what_is_not_given_are_refused_before_the_walk(composer, photo, tmp_path):
    parts = composer.decompose(photo, names=["sketch"])
    for settings, message in (
        (weighing("color", ConditionGuidance(weight=2)), "found no part of it among sketch"),
        (weighing("colour", ConditionGuidance(weight=2)), "expected conditions of this model"),
        (
            weighing("sketch", ConditionGuidance(region=str(tmp_path / "absent.png"))),
            "Reading the region",
        ),
        (TaskSettings(recipe=walking(2).recipe, size=(0, 16)), "both sides must be multiples"),
    ):
        with pytest.raises(ComposerPLError, match=message):
            inversion(composer, photo, parts, settings=settings)


def test_surroundings_that_a_region_adds_may_be_weighed(composer, photo):
    parts = composer.decompose(photo, names=["sketch"])
    drawing = inversion(
        composer, photo, parts, settings=weighing("masking", ConditionGuidance(weight=2))
    )
    confined = within(composer, drawing, photo, "0.25,0.3,0.75,0.7")
    assert make(composer, confined).pictures[0].size == photo.size
    with pytest.raises(UserInputError, match="found no part of it among sketch"):
        make(composer, drawing)
