"""Interpolation: pure ends, shared noise, values on the way; strips and films."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.composing.blending import parts_between
from composer_pl.composing.drawing import Drawing, make
from composer_pl.composing.film import strip, write_film
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import TaskNeedsError, TaskSettings
from composer_pl.composing.tasks.interpolation import interpolation
from composer_pl.errors import MissingDependencyError, UserInputError
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
    found = parts_between(composer, small, large, 0.25, size=(16, 16), task="a test")["sketch"]
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
        parts_between(composer, *values, 0.5, size=(16, 16), task="a test")


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


@pytest.mark.parametrize(("name", "seconds"), [("film.avi", 0.2), ("film.gif", 0)])
def test_other_films_are_refused(tmp_path, name, seconds):
    with pytest.raises(UserInputError, match="expected the format webp, gif, mp4"):
        write_film(tmp_path / name, frames(2), seconds=seconds)


@pytest.mark.parametrize(("kind", "most"), [("webp", 16383), ("gif", 65535)])
def test_frames_beyond_what_a_format_holds_are_refused(tmp_path, kind, most):
    wide = frames(2, size=(1024, 256), rows=1 + most // 1024)
    with pytest.raises(UserInputError, match=f"at most {most} pixels a side.*pictures side by"):
        write_film(tmp_path / f"film.{kind}", wide)


def test_a_film_of_the_most_rows_is_written(tmp_path):
    write_film(tmp_path / "film.webp", frames(2, size=(16383, 256)))
    with Image.open(tmp_path / "film.webp") as film:
        assert film.size == (16383, 256)


def coloured(count, size):
    """Frames of soft colours, no two alike."""
    small = np.random.default_rng(7).integers(0, 256, (count, 3, 4, 3), dtype=np.uint8)
    return [[Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)] for one in small]


def decoded(path):
    """(pictures, seconds of each, the stream's coder) of a film, by PyAV."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as file:
        shown = list(file.decode(video=0))
        stream = file.streams.video[0]
        lasting = [float(frame.duration * frame.time_base) for frame in shown]
        return [frame.to_ndarray(format="rgb24") for frame in shown], lasting, stream.codec_context


def test_an_mp4_shows_what_was_given(tmp_path):
    pytest.importorskip("av")
    row = coloured(4, (64, 64))
    write_film(tmp_path / "film.mp4", row, seconds=0.3)
    pictures, lasting, coder = decoded(tmp_path / "film.mp4")
    assert (coder.name, coder.pix_fmt, coder.width, coder.height) == ("h264", "yuv420p", 256, 256)
    assert lasting == pytest.approx([0.3] * 10)
    for found, index in zip(pictures, [0, 0, 0, 1, 2, 3, 3, 3, 2, 1], strict=True):
        wanted = np.asarray(row[index][0].resize((256, 256), Image.Resampling.NEAREST))
        off = np.abs(found.astype(float) - wanted)
        assert off.mean() < 3
        assert off.max() < 25
    # The nearest of the row is the one that was meant.
    assert np.abs(pictures[3].astype(float) - pictures[4]).mean() > 20


def test_odd_sides_repeat_the_last_row_and_column(tmp_path):
    pytest.importorskip("av")
    write_film(tmp_path / "film.mp4", coloured(2, (301, 257)))
    pictures, _, coder = decoded(tmp_path / "film.mp4")
    assert (coder.width, coder.height, len(pictures)) == (302, 258, 6)
    for picture in pictures:
        off = np.abs(picture[-1].astype(int) - picture[-2])
        assert off.max() < 12
        assert np.abs(picture[:, -1].astype(int) - picture[:, -2]).max() < 12


def test_without_the_library_an_mp4_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        MissingDependencyError, match=r"film 'film.mp4' needs .*pip install 'composer-pl\[video"
    ):
        write_film(tmp_path / "film.mp4", frames(2))
    assert not list(tmp_path.iterdir())
