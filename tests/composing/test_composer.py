"""`Composer` as a person uses it: decompose, pick, compose; sizes and refusals."""

import numpy as np
import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.composing.mistakes import UnknownToModelError
from composer_pl.composing.parts import Parts
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import RepresentationError, UnknownConditionError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.plugin import RepresentationSpec, VectorEncoder

FAST = SamplingRecipe(steps=3)
RED = Image.new("RGB", (64, 64), "red")
NAN = torch.full((3,), float("nan"))


class Wide(FakeGlobal):
    """Mean colour, repeated; an argument changes the shape of the value."""

    def __init__(self, *, width: int = 1, dim: bool = False):
        self.width, self.dim = width, dim

    @property
    def spec(self):
        return RepresentationSpec(shape=(3 * self.width,))

    def build_extractor(self):
        scale = 0.5 if self.dim else 1.0
        return lambda image: scale * image.mean((2, 3)).repeat(1, self.width)

    def build_encoder(self, dims):
        return VectorEncoder(3 * self.width, dims, tokens=1)


def with_settings(composer, **settings):
    """The composer's model with one more condition, and settings for extraction."""
    model = ComposerModel(
        TINY, ProcessConfig(), {"grey": composer.model.plugins["grey"], "wide": Wide()}
    )
    return Composer(model, settings=settings)


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


def test_an_open_picture_is_read_as_its_file_is(composer, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (48, 80, 4), dtype=np.uint8)
    clear, turned = Image.fromarray(pixels), Image.fromarray(pixels[:, :, :3])
    deep = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    clear.save(tmp_path / "clear.png")
    turned.save(tmp_path / "turned.jpg", exif=exif)
    deep.save(tmp_path / "deep.png")
    for name in ("clear.png", "turned.jpg", "deep.png"):
        with Image.open(tmp_path / name) as opened:
            assert composer.decompose(opened) == composer.decompose(tmp_path / name), name


def test_extraction_may_be_set_otherwise_than_in_training(composer):
    plain, dim = with_settings(composer), with_settings(composer, wide={"dim": True})
    value = plain.decompose(RED)["wide"]
    torch.testing.assert_close(dim.decompose(RED)["wide"], value / 2)
    assert dim.model.plugins["wide"] == Wide(), "the model is described as it was trained"


def test_guidance_moves_away_from_parts_of_another_picture(composer, photo):
    parts = composer.decompose(photo, names=["mean"])
    other = composer.decompose(RED, names=["mean"])
    recipe = SamplingRecipe(steps=3, guidance=4.0)
    free, away, itself = (
        composer.compose(parts, recipe=recipe, against=against)[0].tobytes()
        for against in ((), other, parts)
    )
    assert len({free, away, itself}) == 3
    assert itself == composer.compose(parts, recipe=recipe, against=["mean"])[0].tobytes()


def test_a_model_that_answers_nan_is_said(composer):
    composer.model.backbone.head.bias.fill_(float("nan"))
    with pytest.raises(UserInputError, match="found NaN or Inf"):
        composer.compose(Parts({}), recipe=FAST)


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
        (lambda c: c.compose(Parts({"gray": torch.ones(1)})), UnknownToModelError, "'grey'"),
        (lambda c: c.read("depth", "x"), UnknownToModelError, "model that was trained with it"),
        (lambda c: c.decompose("x.png", names=["gray"]), UnknownConditionError, "'grey'"),
        (lambda c: c.read("captain", "x"), UnknownConditionError, "'caption'"),
        (lambda c: c.compose(Parts({"mean": torch.ones(5)})), RepresentationError, r"\(1, 3\)"),
        (lambda c: c.compose(Parts({"mean": NAN})), RepresentationError, "found NaN"),
        (lambda c: c.compose(Parts({"mean": 9 * torch.ones(3)})), RepresentationError, "in \\[-1"),
        (
            lambda c: c.compose(Parts({"mean": NAN.long()})),
            RepresentationError,
            "found torch.int64",
        ),
        (
            lambda c: c.compose(Parts({"grey": torch.ones(4)})),
            RepresentationError,
            "expected shape",
        ),
        (lambda c: c.compose(Parts({}), n=10**9), UserInputError, "at most 10000"),
        (lambda c: c.compose(Parts({}), size=(16, 10**6)), UserInputError, "multiples of 2 up to"),
        (lambda c: c.compose(Parts({}), n=0), UserInputError, "n must be at least 1"),
        (lambda c: c.compose(Parts({}), seed=2**63), UserInputError, "found one of 19 digits"),
        (lambda c: c.compose(Parts({}), seed=-(10**22)), UserInputError, "found one of 23 digits"),
        (lambda c: c.compose(Parts({}), size=(17, 16)), UserInputError, "multiples"),
        (lambda c: c.compose(Parts({}), against=("mean",)), UserInputError, "no condition 'mean'"),
        (lambda c: c.decompose("absent.png"), UserInputError, "absent.png"),
        (lambda c: c.decompose(RED, names=["caption"]), UserInputError, "extracted from a text"),
        (lambda c: Composer(c.model, device="gpu"), UserInputError, "Choosing the device"),
        (lambda c: Composer(c.model, device="meta"), UserInputError, "Choosing the device"),
        (lambda c: Composer(c.model, canvas=0), UserInputError, "canvas must be in 8"),
        (lambda c: Composer(c.model, canvas=10**6), UserInputError, "canvas must be in 8"),
        (lambda c: with_settings(c, gray={}), UnknownToModelError, "'grey'"),
        (lambda c: with_settings(c, grey={"edge": 1}), UserInputError, "among drop_prob"),
        (lambda c: with_settings(c, wide={"width": "4"}), UserInputError, "trained with values of"),
        (lambda c: with_settings(c, wide={"width": "x"}), UserInputError, "width must be int"),
    ],
)
def test_mistakes_are_named(composer, call, error, message):
    with pytest.raises(error, match=message):
        call(composer)
