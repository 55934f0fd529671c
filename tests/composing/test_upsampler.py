"""`Composer` with an upsampler: sizes, files in between, and refusals of what does not fit."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY, UPSAMPLER, filled

from composer_pl.composing.composer import Composer
from composer_pl.composing.parts import Parts
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.storage import save_model
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig

FAST = SamplingRecipe(steps=2)
V = ProcessConfig(prediction="v")


@pytest.fixture
def base(fake_plugins):
    return filled(ComposerModel(TINY, V, {"mean": FakeGlobal(), "grey": FakeLocal()}))


@pytest.fixture
def upsampler():
    return filled(UpsamplerModel(UPSAMPLER, V, {}, UpsamplingConfig()))


@pytest.fixture
def both(base, upsampler):
    return Composer(base, upsampler=upsampler)


def compose(composer, parts=None, **options):
    return composer.compose(parts or Parts({}), recipe=FAST, upsampling=FAST, **options)


def far(one, other):
    return abs(np.asarray(one, int) - np.asarray(other, int)).max()


def test_pictures_have_the_upsamplers_size(both):
    parts = both.decompose(Image.new("RGB", (64, 64), "red"))
    pictures = compose(both, parts, n=2)
    assert [picture.size for picture in pictures] == [(32, 32)] * 2
    assert far(compose(both, parts, n=1)[0], pictures[0]) <= 1
    assert far(pictures[0], pictures[1]) > 20
    assert compose(both, parts, size=(16, 24))[0].size == (48, 32)


def test_small_pictures_from_files_become_the_same_large_ones(base, both, tmp_path):
    small = compose(Composer(base), n=2, seed=5)
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for picture, path in zip(small, paths, strict=True):
        picture.save(path)
    direct = compose(both, n=2, seed=5)
    for given in (paths, small):
        for found, expected in zip(both.upsample(given, seed=5, recipe=FAST), direct, strict=True):
            assert far(found, expected) <= 1


def test_the_level_decides_how_far_small_details_are_trusted(both):
    given = [Image.effect_noise((16, 16), 60).convert("RGB")]
    plain, other = (both.upsample(given, recipe=FAST, level=level)[0] for level in (None, 0.4))
    assert far(plain, other) > 5


def test_progress_counts_both_networks(both):
    told = []
    compose(both, n=17, progress=lambda *step: told.append(step))
    assert told == [(i, 8) for i in range(1, 9)], "two batches of two steps, twice"


def test_an_upsampler_with_conditions_is_told_the_parts(base):
    config = replace(UPSAMPLER, context_dim=8, hint_channels=4, hint_scale=2)
    larger = filled(UpsamplerModel(config, V, {"grey": FakeLocal()}, UpsamplingConfig()))
    composer = Composer(base, upsampler=larger)
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    parts = composer.decompose(noise)
    given = []
    encode = larger.conditioner.forward
    larger.conditioner.forward = lambda values, keep: (given.append(values), encode(values, keep))[
        1
    ]
    compose(composer, parts)
    assert [{name: tuple(v.shape) for name, v in values.items()} for values in given] == [
        {"grey": (1, 1, 64, 64)}
    ], "only what the upsampler knows, at its own size, once"


def test_an_upsampler_is_loaded_beside_a_model(base, upsampler, both, tmp_path):
    save_model(base, tmp_path / "base")
    save_model(upsampler, tmp_path / "upsampler")
    loaded = Composer.from_pretrained(tmp_path / "base", upsampler=tmp_path / "upsampler")
    assert compose(loaded)[0].tobytes() == compose(both)[0].tobytes()
    with pytest.raises(CheckpointError, match="expected a base model, found an upsampler"):
        Composer.from_pretrained(tmp_path / "upsampler")
    with pytest.raises(CheckpointError, match="expected an upsampler, found a base model"):
        Composer.from_pretrained(tmp_path / "base", upsampler=tmp_path / "base")
    with pytest.raises(CheckpointError, match="found nothing there"):
        Composer.from_pretrained(tmp_path / "base", upsampler=tmp_path / "absent")


def test_an_upsampler_of_another_size_is_refused(base):
    larger = UpsamplerModel(UPSAMPLER, V, {}, UpsamplingConfig(factor=4))
    with pytest.raises(UserInputError, match=r"from 16 px.*found one from 8 px to 32 px") as caught:
        Composer(base, upsampler=larger)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ([], "pictures of one size, found none"),
        ([(16, 16), (24, 16)], "one size, found 16x16, 16x24"),
        ([(15, 16)], "multiples of 2, found 16x15"),
        ([(2000, 16)], "2000"),
    ],
)
def test_pictures_that_cannot_be_upsampled_are_refused(both, sides, message):
    with pytest.raises(UserInputError, match=message):
        both.upsample([Image.new("RGB", size) for size in sides])


def test_mistakes_are_named(base, both, tmp_path):
    with pytest.raises(UserInputError, match="expected an upsampler, found none"):
        Composer(base).upsample([Image.new("RGB", (16, 16))])
    with pytest.raises(UserInputError, match=r"absent\.png"):
        both.upsample([tmp_path / "absent.png"])
    with pytest.raises(UserInputError, match="multiples of 2 up to"):
        compose(both, size=(17, 16))
    both.cascade.upsamplers[0].backbone.head.bias.fill_(float("nan"))
    with pytest.raises(UserInputError, match=r"Upsampling pictures.*found NaN or Inf"):
        compose(both)


def test_a_cascade_is_one_upsampler_after_the_other(base, upsampler):
    """The second takes what the first leaves; each draws noise of its own."""
    wide = replace(UPSAMPLER, resolution=2 * UPSAMPLER.resolution)
    second = filled(UpsamplerModel(wide, V, {}, UpsamplingConfig()))
    both = Composer(base, upsampler=[upsampler, second])
    assert both.factor == 4
    steps = []
    (picture,) = both.compose(
        Parts({}),
        recipe=FAST,
        upsampling=FAST,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert picture.size == (4 * both.side, 4 * both.side)
    assert steps == [(i + 1, 3 * FAST.steps) for i in range(3 * FAST.steps)]
    (middle,) = Composer(base, upsampler=upsampler).compose(Parts({}), recipe=FAST, upsampling=FAST)
    assert middle.size == (2 * both.side, 2 * both.side)
    assert list(both.identity) == ["base", "upsampler", "upsampler-2"]


def test_a_cascade_whose_stages_do_not_meet_is_refused(base, upsampler):
    with pytest.raises(UserInputError, match="which the one before it draws"):
        Composer(base, upsampler=[upsampler, upsampler])


def test_tiles_and_thresholds_that_do_not_suit_are_told_before_anything_is_drawn(base, monkeypatch):
    def predict(*_):
        raise AssertionError("a network ran")

    monkeypatch.setattr(ComposerModel, "predict", predict)
    lacking = UpsamplerModel(UPSAMPLER, V, {}, UpsamplingConfig(residual=5.0))
    composer = Composer(base, upsampler=filled(lacking))
    with pytest.raises(UserInputError, match="expected no threshold"):
        composer.compose(Parts({}), recipe=FAST, upsampling=replace(FAST, threshold=0.9))
    with pytest.raises(UserInputError, match=r"multiples of 4, .*found 18 and 8"):
        compose(composer, tiling=Tiling(side=18, overlap=8))
