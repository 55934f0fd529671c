"""`Composer` as a person uses it: decompose, pick, compose; sizes and refusals."""

import numpy as np
import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.composing.parts import Parts
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import RepresentationError, UnknownConditionError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.sampling import SamplingRecipe

FAST = SamplingRecipe(steps=3)


@pytest.fixture
def composer(fake_plugins):
    torch.manual_seed(0)
    conditions = {"mean": FakeGlobal(), "grey": FakeLocal(), "caption": FakeCaption()}
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), conditions)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return Composer(model)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (50, 80, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_parts_of_two_photos_make_one_picture(composer, photo):
    one = composer.decompose(photo)
    other = composer.decompose(Image.new("RGB", (64, 64), "red"), caption="a bee")
    assert set(one) == {"mean", "grey"}, "no text, no caption"
    assert other.notes["caption"] == "a bee"
    parts = one.only("grey") | other.only("mean", "caption")
    pictures = composer.compose(parts, n=2, seed=1, recipe=FAST)
    assert [picture.size for picture in pictures] == [(16, 16)] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()
    again = composer.compose(parts, n=1, seed=1, recipe=FAST)
    difference = np.asarray(again[0], int) - np.asarray(pictures[0], int)
    assert abs(difference).max() <= 1


def test_a_palette_red_photo_is_decomposed_as_red(composer):
    parts = composer.decompose(Image.new("RGB", (64, 64), "red"), names=["mean"])
    torch.testing.assert_close(parts["mean"], torch.tensor([1.0, -1.0, -1.0]))


def test_another_size_is_drawn_at_that_size(composer, photo):
    parts = composer.decompose(photo, names=["grey"])
    assert composer.compose(parts, recipe=FAST, size=(16, 24))[0].size == (24, 16)


def test_nothing_given_draws_without_conditions(composer):
    assert len(composer.compose(Parts({}), n=3, recipe=FAST)) == 3


def test_a_model_is_saved_and_loaded(composer, photo, tmp_path):
    composer.save_pretrained(tmp_path / "m")
    loaded = Composer.from_pretrained(tmp_path / "m")
    parts = composer.decompose(photo)
    assert parts == loaded.decompose(photo)
    ours, theirs = (c.compose(parts, recipe=FAST)[0] for c in (composer, loaded))
    assert ours.tobytes() == theirs.tobytes()


def test_a_value_by_hand_becomes_a_part(composer):
    parts = composer.read("caption", "a bee")
    assert parts["caption"].tolist() == [1, 1, 0, 0, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.compose(Parts({"gray": torch.ones(1)})), UnknownConditionError, "'grey'"),
        (lambda c: c.decompose("x.png", names=["gray"]), UnknownConditionError, "'grey'"),
        (lambda c: c.read("captain", "x"), UnknownConditionError, "'caption'"),
        (lambda c: c.compose(Parts({"mean": torch.ones(5)})), RepresentationError, r"\(3,\)"),
        (lambda c: c.compose(Parts({}), n=0), UserInputError, "n must be at least 1"),
        (lambda c: c.compose(Parts({}), size=(17, 16)), UserInputError, "multiples"),
        (lambda c: c.compose(Parts({}), against=("mean",)), UserInputError, "against"),
        (lambda c: c.decompose("absent.png"), UserInputError, "absent.png"),
    ],
)
def test_mistakes_are_named(composer, call, error, message):
    with pytest.raises(error, match=message):
        call(composer)
