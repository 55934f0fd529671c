"""Region editing: what is outside comes back, at the picture's own size; bad regions are told."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from composer_pl.composing.drawing import make
from composer_pl.composing.masks import known_outside, read_region, softened
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import TaskSettings, drawing_of
from composer_pl.composing.tasks.region import framed, region, within
from composer_pl.composing.tasks.tryon import tryon
from composer_pl.errors import TakenForGrantedWarning, UserInputError
from composer_pl.models.recipe import SamplingRecipe

FAST = TaskSettings(n=1, recipe=SamplingRecipe(steps=2))


def mask_of(photo, box):
    """A mask with a white box (left, top, right, bottom)."""
    mask = Image.new("L", photo.size)
    mask.paste(255, box)
    return mask


def changed(photo, picture):
    """Where two pictures differ."""
    ours, theirs = (np.asarray(p.convert("RGB"), int) for p in (picture, photo))
    return abs(ours - theirs).max(2) > 0


@pytest.mark.parametrize("box", [(50, 10, 78, 40), (0, 0, 20, 20), (70, 30, 80, 48)])
def test_outside_every_pixel_is_the_photos_and_inside_most_are_not(composer, photo, box):
    made = make(composer, region(composer, photo, mask_of(photo, box), settings=FAST))
    picture = made.pictures[0]
    assert picture.size == photo.size
    inside = np.asarray(mask_of(photo, box)) > 0
    differs = changed(photo, picture)
    assert not differs[~inside].any()
    assert differs[inside].mean() > 0.8


def test_the_square_lies_where_the_region_is_and_near_the_middle(photo):
    assert framed(photo, mask_of(photo, (30, 10, 50, 30))).place == (0, 16, 48)
    assert framed(photo, mask_of(photo, (0, 0, 10, 10))).place == (0, 0, 48)
    assert framed(photo, mask_of(photo, (70, 0, 80, 48))).place == (0, 32, 48)
    assert framed(photo, mask_of(photo, (20, 10, 30, 20)), closely=True).place == (5, 15, 20)
    assert framed(photo, mask_of(photo, (20, 10, 30, 20))).square.size == (48, 48)


def test_the_model_is_told_the_surroundings_in_both_sets(composer, photo):
    drawing = region(composer, photo, "0.25,0.4,0.75,0.6", settings=FAST)
    assert set(drawing.parts) == {"masking"}
    assert torch.equal(drawing.parts["masking"], drawing.against["masking"])
    known = drawing.parts["masking"][3]
    rows, columns = (known == 0).any(1), (known == 0).any(0)
    assert 0 < rows.float().mean() < 1
    assert 0 < columns.float().mean() < 1
    assert (drawing.parts["masking"][:3, known == 0] == 0).all()


def test_a_model_without_masking_is_not_told_and_still_keeps_the_outside(poor, photo):
    drawing = region(poor, photo, mask_of(photo, (40, 10, 60, 30)), keep=["sketch"], settings=FAST)
    assert set(drawing.parts) == {"sketch"}
    picture = make(poor, drawing).pictures[0]
    assert not changed(photo, picture)[:, :40].any()


def test_any_drawing_can_be_confined_to_the_square_in_the_middle(composer, photo):
    drawing = drawing_of(FAST, composer.read("color", "#ff0000"), task="other")
    confined = within(composer, drawing, photo, mask_of(photo, (20, 10, 40, 30)))
    assert confined.task == "other"
    assert set(confined.parts) == {"color", "masking"}
    assert confined.place == (0, 16, 48)
    with pytest.raises(UserInputError, match="square in the middle of the picture"):
        within(composer, drawing, photo, mask_of(photo, (0, 10, 20, 30)))


def test_a_mask_of_the_other_polarity_is_told(composer, photo, other):
    hole = ImageOps.invert(mask_of(photo, (30, 10, 50, 30)))
    for act in (
        lambda: region(composer, photo, hole, settings=FAST),
        lambda: tryon(composer, photo, other, hole, settings=FAST),
    ):
        with pytest.raises(UserInputError, match=r"mostly white.*Next: if its black.*invert the"):
            act()
    wide = mask_of(photo, (0, 0, 80, 20))  # black reaches from end to end as well
    for where in (wide, ImageOps.invert(wide), "0,0,1,0.9"):
        with pytest.raises(UserInputError, match=r"found (80|72)\. Next: edit it in parts"):
            framed(photo, where)


# -- regions ---------------------------------------------------------------------------------------


def test_softening_stays_inside_and_reaches_one(photo):
    inside = read_region(mask_of(photo, (10, 10, 40, 40)), (48, 80))
    soft = softened(inside, 3)
    assert torch.equal(soft > 0, inside > 0)
    assert soft[0, 25, 10:14].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert torch.equal(softened(inside, 0), inside)


def test_softening_has_no_seam_at_the_edge_of_the_picture(photo):
    inside = read_region(mask_of(photo, (0, 0, 40, 48)), (48, 80))
    assert (softened(inside, 3)[0, :, :37] == 1).all()


def test_a_pixel_is_known_where_all_of_it_is_outside():
    inside = torch.zeros(1, 8, 8)
    inside[0, 3, 3] = 1
    assert known_outside(inside, (4, 4))[0].tolist() == [
        [1, 1, 1, 1],
        [1, 0, 1, 1],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
    ]


@pytest.mark.parametrize("size", [(40, 24), (160, 96), (27, 16), (81, 48)])
def test_a_mask_of_another_size_and_the_same_shape_is_taken(size, photo):
    mask = mask_of(photo, (0, 0, 40, 48)).resize(size)
    if min(size) < 32:
        mask = mask.resize((size[0] * 3, size[1] * 3))
    assert read_region(mask, (48, 80)).mean() == pytest.approx(0.5, abs=0.03)


def test_a_mask_of_another_shape_is_one_line(photo):
    with pytest.raises(UserInputError, match="80 x 48 pixels, found 64 x 64"):
        read_region(Image.new("L", (64, 64), 255), (48, 80))


@pytest.mark.parametrize(("level", "told"), [(0, "lightest is level 0"), (100, "level 100 of 255")])
def test_an_empty_mask_is_one_line(photo, level, told):
    with pytest.raises(UserInputError, match=told):
        read_region(Image.new("L", photo.size, level), (48, 80))


def test_a_mask_of_zeros_and_ones_is_taken_as_one_with_a_word(photo):
    """As arrays of labels are saved; by the bits of its file it would be empty."""
    mask = Image.new("L", photo.size)
    mask.paste(1, (0, 0, 40, 48))
    with pytest.warns(TakenForGrantedWarning, match=r"taken as 0\.\.1"):
        assert read_region(mask, (48, 80)).mean() == 0.5


def test_a_box_of_less_than_a_pixel_is_one_line():
    with pytest.raises(UserInputError, match=r"a pixel or more of 80 x 48, found '0,0,0\.001,1'"):
        read_region("0,0,0.001,1", (48, 80))


@pytest.mark.parametrize("mask", [Image.new("L", (80, 48), 255), Image.new("LA", (80, 48)), "box"])
def test_a_full_mask_is_one_line(mask):
    with pytest.raises(UserInputError, match="white everywhere"):
        read_region("0,0,1,1" if mask == "box" else mask, (48, 80))


def test_a_region_that_fits_no_square_is_one_line(photo):
    with pytest.raises(UserInputError, match="at most 48 pixels high and wide, found 70"):
        framed(photo, mask_of(photo, (0, 0, 70, 20)))


@pytest.mark.parametrize("soft", [-1, 49])
def test_a_border_that_cannot_be_is_one_line(composer, photo, soft):
    with pytest.raises(UserInputError, match=f"within 0 to 48 pixels, .* found {soft}"):
        region(composer, photo, mask_of(photo, (20, 10, 40, 30)), soft=soft, settings=FAST)


def test_no_region_no_square_and_no_pixels_are_one_line_each(composer, photo):
    drawing = drawing_of(FAST, Parts({}), task="other")
    with pytest.raises(UserInputError, match="expected a region, found none"):
        within(composer, drawing, photo)
    with pytest.raises(UserInputError, match="expected a picture"):
        framed(Parts({}), "0,0,1,0.5")
    oblong = drawing_of(TaskSettings(size=(16, 32)), Parts({}), task="other")
    with pytest.raises(UserInputError, match="expected a square to draw, found 16x32"):
        within(composer, oblong, photo, mask_of(photo, (20, 10, 40, 30)))
