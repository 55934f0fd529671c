"""Captions become parts that compose; what does not fit is refused in one line."""

import json
from dataclasses import replace

import pytest
import torch
from fakes import FakeGlobal
from prior_fakes import WIDTH, FakeEmbedding, clip_plugins, conditions, make_prior
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import make
from composer_pl.composing.identity import model_digest
from composer_pl.composing.prior import predict_semantics
from composer_pl.composing.record import read_record, write_pictures
from composer_pl.composing.reproduction import readable, rewrite
from composer_pl.composing.tasks.frame import TaskSettings
from composer_pl.composing.tasks.text import text
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import RepresentationError, UnknownConditionError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.prior_sampling import PriorRecipe
from composer_pl.models.sampling import SamplingRecipe

__all__ = ["clip_plugins"]

FAST = PriorRecipe(steps=3)


def composer_of(plugins):
    torch.manual_seed(0)
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), plugins)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return Composer(model)


@pytest.fixture
def composer():
    return composer_of(conditions())


def predict(composer, caption="a red cube", clip="one", **settings):
    return predict_semantics(
        composer, make_prior(clip=clip), caption, **{"recipe": FAST, **settings}
    )


def test_each_prediction_is_a_part_that_composes(composer):
    found = predict(composer, n=3, seed=5)
    assert [tuple(parts) for parts in found] == [("semantics",)] * 3
    for parts in found:
        assert parts["semantics"].norm().item() == pytest.approx(WIDTH**0.5, rel=1e-5)
        assert parts.notes["semantics"] == "predicted from 'a red cube'"
        assert parts.facts["semantics"]["agreement"] == {"clip": "one"}
    assert not torch.equal(found[0]["semantics"], found[1]["semantics"])
    both = composer.read("caption", "a red cube") | found[0]
    picture = composer.compose(both, recipe=SamplingRecipe(steps=2))[0]
    assert picture.size == (16, 16)


@pytest.mark.usefixtures("clip_plugins")
def test_a_picture_says_which_prior_predicted_it_and_how(composer, tmp_path):
    prior = make_prior()
    settings = TaskSettings(n=2, seed=5, recipe=SamplingRecipe(steps=2))
    drawings = text(
        composer, "a red cube", prior=prior, prior_recipe=replace(FAST, best_of=2),
        prior_origin="somewhere", settings=settings,
    )  # fmt: skip
    for number, drawing in enumerate(drawings):
        (path,) = write_pictures(tmp_path, make(composer, drawing), composer, first=number)
        record = read_record(path)
        facts = record.drawing.parts.facts["semantics"]["prior"]
        assert facts["sha256"] == model_digest(prior)
        assert (facts["origin"], facts["seed"], facts["number"]) == ("somewhere", 5, number)
        assert (facts["recipe"]["steps"], facts["recipe"]["best_of"]) == (3, 2)
        assert facts["recipe"]["guidance"] == FAST.guidance
        assert json.loads(readable(record))["conditions"]["semantics"]["prior"] == facts
        assert rewrite(record, composer, tmp_path / "again.png") == []
        assert (tmp_path / "again.png").read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("clip_plugins")
def test_pictures_of_a_prior_are_enlarged_with_noise_of_their_own(composer):
    def drawn(n):
        settings = TaskSettings(n=n, seed=5)
        return text(composer, "a", prior=make_prior(), prior_recipe=FAST, settings=settings)

    seeds = [drawing.seed for drawing in drawn(3)]
    assert len(set(seeds)) == 3
    assert seeds[0] == 5
    assert [drawing.seed for drawing in drawn(2)] == seeds[:2]
    whole = composer.noise(3, 5)
    for drawing, noise in zip(drawn(3), whole, strict=True):
        assert torch.equal(drawing.noise[0], noise)  # as without the prior


def test_a_prediction_depends_on_seed_place_and_caption_alone(composer):
    found = predict(composer, n=3)
    again = predict(composer, n=2)
    for one, other in zip(found, again, strict=False):
        torch.testing.assert_close(one["semantics"], other["semantics"], atol=1e-5, rtol=0)
    for changed in (predict(composer, seed=1), predict(composer, caption="grey")):
        assert (changed[0]["semantics"] - found[0]["semantics"]).abs().max() > 1e-3
    spaced = predict(composer, caption="  a red   cube ")
    assert spaced[0].notes["semantics"] == "predicted from 'a red cube'"


def test_a_model_without_captions_takes_predictions_too(composer):
    without = composer_of({"semantics": FakeEmbedding()})
    torch.testing.assert_close(predict(without)[0]["semantics"], predict(composer)[0]["semantics"])


def test_progress_is_reported(composer):
    seen = []
    predict(composer, n=2, progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    assert text.count("Next:") == 1


@pytest.mark.parametrize("caption", ["", "  \n\t"])
def test_an_empty_caption_is_refused(composer, caption):
    with pytest.raises(UserInputError, match="expected a text, found an empty one") as caught:
        predict(composer, caption=caption)
    one_line(caught)


@pytest.mark.parametrize("n", [0, -1, 10**6])
def test_a_wrong_number_is_refused(composer, n):
    with pytest.raises(UserInputError, match="n must be at least 1") as caught:
        predict(composer, n=n)
    one_line(caught)


def test_a_prior_of_another_clip_is_refused(composer):
    expected = r"a prior of the model's CLIP \(one\), found one of two"
    with pytest.raises(RepresentationError, match=expected) as caught:
        predict(composer, clip="two")
    one_line(caught)


def test_a_model_that_reads_no_such_embedding_is_named():
    with pytest.raises(UnknownConditionError, match=r"\(mean\), found 'semantics'") as caught:
        predict(composer_of({"mean": FakeGlobal()}))
    one_line(caught)


def test_an_embedding_of_another_width_is_refused():
    with pytest.raises(RepresentationError, match=r"values \(3,\).*found one of \(4,\)") as caught:
        predict(composer_of({"semantics": FakeGlobal()}))
    one_line(caught)


def test_a_prior_that_answers_nan_is_refused(composer):
    prior = make_prior()
    prior.backbone.head.bias.fill_(float("nan"))
    with pytest.raises(UserInputError, match="found NaN or Inf") as caught:
        predict_semantics(composer, prior, "a", recipe=FAST)
    one_line(caught)
