"""Pictures batch by batch are those of one go, to the bit, from whichever batch on."""

from unittest.mock import Mock

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY, UPSAMPLER, filled

from composer_pl.composing.composer import Composer
from composer_pl.composing.values import model_values
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig
from composer_pl.models.upsampling import upsample
from composer_pl.sheet import to_pil

V = ProcessConfig(prediction="v")
COUNT, SIZE = 5, (16, 16)


@pytest.fixture
def base(fake_plugins):
    return filled(ComposerModel(TINY, V, {"mean": FakeGlobal(), "grey": FakeLocal()}))


@pytest.fixture
def upsampler():
    return filled(UpsamplerModel(UPSAMPLER, V, {}, UpsamplingConfig()))


def bytes_of(pictures):
    return [picture.tobytes() for picture in pictures]


def in_one_go(model, parts, recipe, *, noise=None):
    """All pictures of seed 3 by the functions below `Painter`."""
    values = model_values(model, parts, SIZE)
    keys = sample_keys(3, COUNT)
    return sample(model, values, recipe, keys=keys, size=SIZE, noise=noise)


@pytest.mark.parametrize(("small", "large"), [(2, 3), (3, 2), (1, 9)])
def test_batches_of_either_network_do_not_shift(base, upsampler, small, large):
    composer = Composer(base, upsampler=upsampler)
    parts = composer.decompose(Image.new("RGB", (64, 64), "red"))
    recipe = SamplingRecipe(steps=2, max_batch=small)
    upsampling = SamplingRecipe(steps=1, guidance=1, max_batch=large)
    drawn = in_one_go(base, parts, recipe)
    whole = upsample(upsampler, drawn, upsampling, keys=sample_keys(3, COUNT))
    expected = bytes_of([to_pil((picture + 1) / 2) for picture in whole])

    told = []
    options = {"n": COUNT, "seed": 3, "recipe": recipe, "upsampling": upsampling}
    batches = list(
        composer.batches(parts, **options, progress=lambda step, total: told.append((step, total)))
    )
    assert [first for first, _ in batches] == list(range(0, COUNT, large))
    assert bytes_of([picture for _, pictures in batches for picture in pictures]) == expected
    total = 2 * -(-COUNT // small) + -(-COUNT // large)
    assert [step for step, _ in told] == list(range(1, total + 1))
    assert {of for _, of in told} == {total}

    for number in (2, 4):
        told.clear()
        first, pictures = next(
            composer.batches(
                parts, **options, holding=number, progress=lambda *steps: told.append(steps)
            )
        )
        assert first <= number < first + len(pictures)
        assert bytes_of(pictures) == expected[first : first + len(pictures)]
        assert len(told) <= 2 * (1 + -(-large // small)) + 1, "what lies before is not drawn"


def test_each_picture_begins_with_noise_of_its_own(base):
    composer = Composer(base)
    parts = composer.decompose(Image.new("RGB", (64, 64), "red"))
    noise = torch.randn(COUNT, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    recipe = SamplingRecipe(steps=2, max_batch=2)
    expected = in_one_go(base, parts, recipe, noise=noise)
    assert torch.equal(
        composer.draw(parts, n=COUNT, seed=3, recipe=recipe, noise=noise), expected.cpu()
    )
    batches = composer.batches(parts, n=COUNT, seed=3, recipe=recipe, noise=noise, holding=4)
    assert [first for first, _ in batches] == [4]


def test_nothing_is_drawn_that_nobody_asks_for(base, monkeypatch):
    spy = Mock(wraps=sample)
    monkeypatch.setattr("composer_pl.composing.batches.sample", spy)

    def counted():
        return [len(call.kwargs["keys"]) for call in spy.call_args_list]

    composer = Composer(base)
    parts = composer.decompose(Image.new("RGB", (64, 64), "red"))
    batches = composer.batches(parts, n=COUNT, recipe=SamplingRecipe(steps=1, max_batch=2))
    assert counted() == []
    next(batches)
    assert counted() == [2]
    list(batches)
    assert counted() == [2, 2, 1]
