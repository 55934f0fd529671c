"""What departs from the protocol is named, and refused unless asked for."""

import dataclasses

import pytest

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco import protocol
from composer_pl.evaluation.coco.captions import CaptionList, choose_captions
from composer_pl.evaluation.coco.drawing import Manner
from composer_pl.evaluation.coco.protocol import (
    departures,
    hold_to_protocol,
    sampling_departures,
)
from composer_pl.evaluation.coco.split import Caption, CocoSplit
from composer_pl.models.prior_sampling import PriorRecipe
from composer_pl.models.recipe import SamplingRecipe


@pytest.fixture(autouse=True)
def hundredth(monkeypatch):
    """A protocol of a hundredth of the numbers: keys of 40,504 pictures take a second."""
    assert (protocol.CAPTIONS, protocol.PICTURES, protocol.SIDE) == (30_000, 40_504, 256)
    monkeypatch.setattr(protocol, "CAPTIONS", 300)
    monkeypatch.setattr(protocol, "PICTURES", 404)


@pytest.fixture(scope="module")
def whole():
    """A hundredth of COCO 2014 validation as far as counting goes, and captions of seed 0."""
    from pathlib import Path

    pictures = tuple(f"{number:012d}.jpg" for number in range(404))
    captions = tuple(Caption(id=n, image_id=n, text="a") for n in range(404))
    split = CocoSplit(
        name="val2014",
        folder=Path("val2014"),
        pictures=pictures,
        captions=captions,
        blank=(),
        absent=(),
    )
    return split, choose_captions(split, count=300)


def test_the_protocol_departs_in_nothing(whole):
    found = departures(*whole, side=256)
    assert found == []
    hold_to_protocol(found, asked=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "val2017"}, "the split is val2017, not val2014"),
        ({"pictures": ("a.jpg",)}, "1 pictures to compare with, not 404"),
        ({"blank": ("a.jpg",)}, "1 pictures have no caption, such as a.jpg"),
        ({"absent": ("a.jpg", "b.jpg")}, "2 listed pictures are missing, such as a.jpg"),
    ],
)
def test_each_departure_of_a_split_is_named(whole, change, told):
    split, captions = whole
    assert departures(dataclasses.replace(split, **change), captions, side=256) == [told]


def test_other_steps_and_fewer_digits_are_departures():
    whole = Manner(
        recipe=SamplingRecipe(steps=50, guidance=1.5),
        upsampling=SamplingRecipe(steps=20),
        prior=PriorRecipe(steps=100),
        seed=0,
    )
    assert sampling_departures(whole, enlarged=True) == []
    few = dataclasses.replace(
        whole,
        recipe=SamplingRecipe(steps=1),
        upsampling=SamplingRecipe(steps=10),
        prior=PriorRecipe(steps=25),
        bfloat16=True,
    )
    assert sampling_departures(few, enlarged=True) == [
        "1 steps of the base model, not 50",
        "10 steps of the upsampler, not 20",
        "25 steps of the prior, not 100",
        "networks in bfloat16, not float32",
    ]
    alone = dataclasses.replace(few, prior=None, bfloat16=False)
    assert sampling_departures(alone, enlarged=False) == ["1 steps of the base model, not 50"]


def test_fewer_captions_and_other_sides_are_departures(whole):
    split, _ = whole
    few = choose_captions(split, count=20)
    assert departures(split, few, side=64) == [
        "20 captions, not 300",
        "finished pictures of 64 px, not 256",
    ]


def test_other_captions_are_a_departure(whole):
    """Chosen by another seed, or from a file that says what it likes of its seed."""
    split, captions = whole
    told = ["the captions are not those that caption seed 0 chooses"]
    assert departures(split, choose_captions(split, count=300, seed=1), side=256) == told
    for turned in (captions.captions[::-1], split.captions[:300]):
        assert departures(split, CaptionList(turned, 0, "val2014"), side=256) == told


def test_a_departure_is_refused_unless_asked_for():
    hold_to_protocol(["something"], asked=True)
    with pytest.raises(UserInputError, match=r"something\nNext.*--not-the-protocol"):
        hold_to_protocol(["something"], asked=False)
