"""Pictures of captions: functions of caption, seed and manner, whatever is drawn beside them."""

from dataclasses import replace

import pytest
import torch
from coco_fakes import STEPS, make_model, make_upsampler
from fakes import FakeGlobal
from prior_fakes import clip_plugins, conditions, make_prior

from composer_pl.composing.composer import Composer
from composer_pl.errors import RepresentationError, UserInputError
from composer_pl.evaluation.coco.drawing import CaptionArtist, Manner, picture_keys
from composer_pl.evaluation.coco.split import Caption
from composer_pl.models.prior_sampling import PriorRecipe

__all__ = ["clip_plugins"]

pytestmark = pytest.mark.usefixtures("fake_plugins", "clip_plugins")

CAPTIONS = tuple(
    Caption(id=number, image_id=number + 100, text="abcdefgh"[: number + 1]) for number in range(6)
)
MANNER = Manner(recipe=STEPS, upsampling=STEPS, seed=5)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture
def artist(model):
    return CaptionArtist(Composer(model))


def test_neighbours_and_batches_change_a_picture_by_rounding_alone(artist):
    together = artist.draw(CAPTIONS, MANNER).int()
    backwards = artist.draw(CAPTIONS[::-1], MANNER).flip(0).int()
    smaller = artist.draw(CAPTIONS, replace(MANNER, recipe=replace(STEPS, max_batch=1))).int()
    alone = artist.draw(CAPTIONS[3:4], MANNER).int()
    for other in (backwards, smaller):
        assert (together - other).abs().max() <= 1
        assert (together != other).float().mean() < 1e-3
    assert (together[3:4] - alone).abs().max() <= 1
    assert not torch.equal(together[0], together[1])


def test_the_same_block_is_the_same_bit_for_bit(artist):
    assert torch.equal(artist.draw(CAPTIONS, MANNER), artist.draw(CAPTIONS, MANNER))


def test_caption_and_seed_decide(artist):
    first = artist.draw(CAPTIONS[:1], MANNER)
    other_text = (replace(CAPTIONS[0], text="hhhhhhhhhh"),)
    assert not torch.equal(artist.draw(other_text, MANNER), first)
    assert not torch.equal(artist.draw(CAPTIONS[:1], replace(MANNER, seed=6)), first)


def test_bfloat16_changes_pictures_a_little_and_the_record(model):
    artist = CaptionArtist(Composer(model, upsampler=make_upsampler()))
    half = replace(MANNER, bfloat16=True)
    apart = artist.draw(CAPTIONS, MANNER).int() - artist.draw(CAPTIONS, half).int()
    assert 0 < apart.abs().float().mean() < 5
    assert half.to_dict(enlarged=True) == MANNER.to_dict(enlarged=True) | {"bfloat16": True}


def test_keys_are_of_captions_and_never_meet():
    keys = torch.cat([picture_keys(CAPTIONS, seed) for seed in range(3)])
    assert len(keys.unique()) == 18
    assert torch.equal(picture_keys(CAPTIONS[::-1], 0), picture_keys(CAPTIONS, 0).flip(0))


def test_a_cascade_draws_large_pictures(model):
    artist = CaptionArtist(Composer(model, upsampler=make_upsampler()))
    assert artist.side == 32
    assert artist.draw(CAPTIONS[:2], MANNER).shape == (2, 3, 32, 32)
    assert set(artist.identity) == {"base", "upsampler"}


def test_the_prior_adds_its_embedding():
    composer = Composer(make_model(conditions()))
    prior = make_prior()
    artist = CaptionArtist(composer, prior)
    alone = artist.draw(CAPTIONS, MANNER)
    with_prior = replace(MANNER, prior=PriorRecipe(steps=2))
    both = artist.draw(CAPTIONS, with_prior)
    assert not torch.equal(alone, both)
    assert torch.equal(CaptionArtist(composer).draw(CAPTIONS, MANNER), alone)
    assert set(artist.identity) == {"base", "prior"}
    assert (with_prior.conditions, MANNER.conditions) == ("with prior", "caption only")


def test_a_prior_of_another_clip_is_refused():
    with pytest.raises(RepresentationError, match="found one of two"):
        CaptionArtist(Composer(make_model(conditions())), make_prior(clip="two"))


def test_a_model_without_captions_is_refused():
    composer = Composer(make_model({"color": FakeGlobal()}))
    with pytest.raises(UserInputError, match="trained with captions, found one with color"):
        CaptionArtist(composer)


def test_the_manifest_leaves_out_what_changes_no_picture():
    told = MANNER.to_dict(enlarged=False)
    assert told["recipe"]["steps"] == 2
    assert "max_batch" not in told["recipe"]
    assert told["upsampling"] is None
    assert MANNER.to_dict(enlarged=True)["upsampling"]["steps"] == 2
