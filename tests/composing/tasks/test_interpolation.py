"""Interpolation: pure ends, shared noise, values on the way; strips and films."""

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.composing.drawing import Drawing, make
from composer_pl.composing.film import strip, write_film
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import TaskNeedsError, TaskSettings
from composer_pl.composing.tasks.interpolation import interpolation, parts_between
from composer_pl.errors import UserInputError
from composer_pl.models.recipe import SamplingRecipe

FAST = TaskSettings(n=2, seed=5, recipe=SamplingRecipe(steps=2))


def test_ends_are_the_pictures_that_each_end_alone_gives(composer, photo, other):
    drawings = interpolation(composer, photo, other, frames=3, keep=["sketch"], settings=FAST)
    row = [make(composer, drawing).pictures for drawing in drawings]
    sketch = composer.decompose(photo, names=["sketch"])
    for end, source in ((row[0], photo), (row[-1], other)):
        parts = sketch | composer.decompose(source, names=["semantics", "color"])
        pure = make(composer, Drawing(parts=parts, recipe=SamplingRecipe(steps=2), n=2, seed=5))
        for one, two in zip(end, pure.pictures, strict=True):
            assert one.tobytes() == two.tobytes()
    assert len({frame[0].tobytes() for frame in row}) == 3


def test_frames_share_their_noise_and_what_is_kept(composer, photo, other):
    drawings = interpolation(
        composer, photo, other, frames=4, blend=["color"], keep_second=["depth"], settings=FAST
    )
    assert {drawing.seed for drawing in drawings} == {5}
    for drawing in drawings:
        assert list(drawing.parts) == ["depth", "color"]
        assert torch.equal(drawing.parts["depth"], drawings[0].parts["depth"])
    values = torch.stack([drawing.parts["color"] for drawing in drawings])
    even = torch.lerp(values[0], values[-1], torch.tensor([0, 1 / 3, 2 / 3, 1])[:, None])
    torch.testing.assert_close(values, even)
    assert "33% of the way from" in drawings[1].parts.notes["color"]


def test_maps_of_different_sizes_meet_on_the_models_grid(composer):
    small, large = (Parts({"sketch": torch.full((1, s, s), v)}) for s, v in ((8, 0.0), (64, 1.0)))
    found = parts_between(composer, small, large, 0.25, size=(16, 16))["sketch"]
    assert found.shape == (1, *composer.model.value_size(16, 16))
    torch.testing.assert_close(found, torch.full_like(found, 0.25))


def test_straight_is_handed_to_the_condition(composer, photo, other, monkeypatch):
    asked = []

    def interpolate(self, value, other, share, *, straight=False):
        asked.append((round(share, 3), straight))
        return value

    kind = type(composer.model.plugins["semantics"])
    monkeypatch.setattr(kind, "interpolate", interpolate)
    interpolation(composer, photo, other, frames=3, blend=["semantics"], straight=True)
    assert asked == [(0.5, True)]


def test_mistakes_are_one_line_each(composer, poor, photo, other):
    with pytest.raises(UserInputError, match="2 to 1000 frames, found 1"):
        interpolation(composer, photo, other, frames=1)
    with pytest.raises(UserInputError, match="found 'color' twice"):
        interpolation(composer, photo, other, blend=["color"], keep=["color"])
    with pytest.raises(UserInputError, match="found none"):
        interpolation(poor, photo, other, keep=["semantics"])
    with pytest.raises(TaskNeedsError, match="interpolation"):
        interpolation(poor, photo, other, blend=["color"])
    values = Parts({"color": torch.zeros(3)}), Parts({"color": torch.zeros(4)})
    with pytest.raises(UserInputError, match="of one shape"):
        parts_between(composer, *values, 0.5, size=(16, 16))


# -- strips and films ------------------------------------------------------------------------------


def frames(count, size=(16, 16), rows=1):
    return [
        [Image.new("RGB", size, (20 * i, 0, 90 * r)) for r in range(rows)] for i in range(count)
    ]


def test_a_strip_has_frames_side_by_side_and_rows_below():
    drawn = np.asarray(strip(frames(3, rows=2), gap=1))
    assert drawn.shape == (33, 50, 3)
    assert drawn[20, 18].tolist() == [20, 0, 90]
    assert drawn[16, 16].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_film_goes_there_and_back_and_keeps_its_pixels(tmp_path, kind):
    path = tmp_path / f"film.{kind}"
    write_film(path, frames(4))
    with Image.open(path) as film:
        assert film.n_frames == 6
        assert film.size == (256, 256)
        shown = []
        for frame in range(6):
            film.seek(frame)
            shown.append(film.convert("RGB").getpixel((100, 100))[0])
    assert shown == [0, 20, 40, 60, 40, 20]


@pytest.mark.parametrize(("name", "seconds"), [("film.mp4", 0.2), ("film.gif", 0)])
def test_other_films_are_refused(tmp_path, name, seconds):
    with pytest.raises(UserInputError, match="expected the format webp or gif"):
        write_film(tmp_path / name, frames(2), seconds=seconds)
