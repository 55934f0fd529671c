"""Captions become parts that compose; what does not fit is refused in one line."""

import pytest
import torch
from fakes import FakeGlobal
from prior_fakes import WIDTH, FakeEmbedding, conditions, make_prior
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.composing.prior import predict_semantics
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import RepresentationError, UnknownConditionError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.prior_sampling import PriorRecipe
from composer_pl.models.sampling import SamplingRecipe

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
