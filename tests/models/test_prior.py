"""The prior: its loss in closed form, what it is given, description, storage, refusals."""

import json
from dataclasses import replace

import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal
from prior_fakes import (
    SIZE,
    WIDTH,
    X_0,
    FakeEmbedding,
    FakeWords,
    clip_plugins,
    conditions,
    make_prior,
    unit,
)

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError, ConfigError, RepresentationError
from composer_pl.models.prior import PriorModel
from composer_pl.models.storage import load_model, load_prior, load_upsampler, save_model

__all__ = ["clip_plugins"]


def batch(samples=3):
    generator = torch.Generator().manual_seed(1)
    texts = ["a red cube", "grey", "two balls and more"]
    return {
        "values": {
            "caption": FakeWords().build_extractor()(texts[:samples]),
            "semantics": unit(torch.randn(samples, WIDTH, generator=generator)),
        },
        "keep": torch.ones(1, samples, dtype=torch.bool),
        "t": torch.tensor([0, 500, 999])[:samples],
        "eps": torch.randn(samples, WIDTH, generator=generator),
    }


def test_a_fresh_prior_answers_zero_so_its_loss_is_the_variance_of_embeddings():
    """Length sqrt(width) is a mean square of 1 a channel, at every timestep."""
    loss = make_prior(trained=False).loss(**batch())
    torch.testing.assert_close(loss, torch.ones(3))


def test_the_loss_of_a_sample_does_not_depend_on_its_batch():
    model, given = make_prior(), batch()
    together = model.loss(**given)
    for i in range(3):
        row = slice(i, i + 1)
        alone = model.loss(
            {name: value[row] for name, value in given["values"].items()},
            given["keep"][:, row],
            given["t"][row],
            given["eps"][row],
        )
        torch.testing.assert_close(together[row], alone, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_mean_square_between_embedding_and_answer():
    model, given = make_prior(), batch()
    x_0 = given["values"]["semantics"][:, :, None, None]
    x_t = model.process.q_sample(x_0, given["t"], given["eps"][:, :, None, None])
    raw = model.predict(x_t, given["t"], model.encode(given["values"], given["keep"]))
    torch.testing.assert_close(model.loss(**given), (raw - x_0).square().mean((1, 2, 3)))


def test_a_dropped_caption_is_the_same_as_none():
    model, given = make_prior(), batch()
    dropped = model.loss(**{**given, "keep": ~given["keep"]})
    only = {"semantics": given["values"]["semantics"]}
    torch.testing.assert_close(dropped, model.loss(**{**given, "values": only}))
    assert (dropped - model.loss(**given)).abs().min() > 1e-4
    assert not model.keep([], 2).any()
    assert model.keep(["caption"], 2).all()


def test_several_draws_of_a_sample_are_those_of_copies_of_it():
    model, one = make_prior(), batch()
    other = {"t": one["t"].roll(1), "eps": one["eps"].roll(1, 0)}
    both = {name: torch.cat([one[name], other[name]]) for name in other}
    expected = torch.cat([model.loss(**one), model.loss(**{**one, **other})])
    torch.testing.assert_close(model.loss(**{**one, **both}), expected, rtol=1e-5, atol=1e-6)


def test_a_few_embeddings_are_learned():
    torch.manual_seed(0)
    model, given = PriorModel(SIZE, X_0, conditions()), batch()
    given["t"] = torch.tensor([900, 900, 900])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        model.loss(**given).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model.loss(**given).mean() < 0.2


@pytest.mark.parametrize(
    ("value", "wrong"), [("semantics", 2.0), ("semantics", float("nan")), ("caption", 0.5)]
)
def test_embeddings_of_another_length_are_refused(value, wrong):
    given = batch()
    given["values"][value] = given["values"][value] * wrong
    with pytest.raises(RepresentationError, match=r"CLIP embeddings of length 2\.00") as caught:
        make_prior().loss(**given)
    assert "Next:" in str(caught.value)


# -- description and storage -----------------------------------------------------------------------


@pytest.mark.usefixtures("clip_plugins")
def test_a_prior_is_rebuilt_from_its_description_as_json():
    model = make_prior()
    description = json.loads(json.dumps(model.describe()))
    assert description["kind"] == "prior"
    rebuilt = PriorModel.from_description(description)
    assert rebuilt.describe() == model.describe()
    rebuilt.load_state_dict(model.state_dict())


@pytest.mark.usefixtures("clip_plugins")
@pytest.mark.parametrize("half", [False, True])
def test_a_folder_gives_back_the_prior(tmp_path, half):
    model = make_prior()
    weights = {n: t.half() if half else t for n, t in model.state_dict().items()}
    save_model(model, tmp_path, weights=weights)
    loaded = load_prior(tmp_path)
    assert loaded.describe() == model.describe()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[name].float())


@pytest.mark.usefixtures("clip_plugins", "fake_plugins")
def test_kinds_are_told_apart_in_one_line(model, upsampler, tmp_path):
    for name, kind in (("prior", make_prior()), ("base", model), ("upsampler", upsampler)):
        save_model(kind, tmp_path / name)
    with pytest.raises(CheckpointError, match="expected a base model, found a prior"):
        load_model(tmp_path / "prior")
    with pytest.raises(CheckpointError, match="expected an upsampler, found a prior"):
        load_upsampler(tmp_path / "prior")
    for other, told in (("base", "a base model"), ("upsampler", "an upsampler")):
        with pytest.raises(CheckpointError, match=f"expected a prior, found {told}") as caught:
            load_prior(tmp_path / other)
        assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("clip_plugins")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "expected format 1, found 99"),
        ({"backbone": {"size": 3}}, "damaged or foreign"),
        ({"backbone": None}, "damaged or foreign"),
        ({"text": "semantics"}, "damaged or foreign"),
        ({"conditions": ["caption"]}, "damaged or foreign"),
        ({"process": {"prediction": "x_1"}}, "damaged or foreign"),
    ],
)
def test_a_foreign_description_is_refused(change, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        PriorModel.from_description({**make_prior().describe(), **change})
    assert str(caught.value).count("Next:") == 1


@pytest.mark.usefixtures("clip_plugins")
def test_damaged_weights_are_refused_in_one_line(tmp_path):
    model = make_prior()
    weights = {n: t for n, t in model.state_dict().items() if n != "backbone.query"}
    save_model(model, tmp_path, weights=weights)
    with pytest.raises(CheckpointError, match=r"backbone\.query is missing"):
        load_prior(tmp_path)


# -- what does not fit together --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        (conditions("one", "other"), {}, "one CLIP, found one for 'caption' and other for"),
        ({"caption": FakeWords()}, {}, "two conditions, 'caption' to read"),
        ({**conditions(), "grey": FakeLocal()}, {}, "found caption, semantics, grey"),
        (conditions(), {"text": "words"}, "'words' to read"),
        (conditions(), {"text": "semantics", "image": "caption"}, "to be read from texts"),
        (
            {"caption": FakeCaption(), "semantics": FakeEmbedding()},
            {},
            "a sentence row and word rows, found FakeCaption",
        ),
        ({"caption": FakeWords(), "semantics": FakeLocal()}, {}, "one vector of a picture"),
        ({"caption": FakeWords(), "semantics": FakeGlobal()}, {}, "found one for 'caption' and"),
    ],
)
def test_conditions_that_make_no_prior_are_refused(given, names, message):
    with pytest.raises(ConfigError, match=message) as caught:
        PriorModel(SIZE, X_0, given, **names)
    assert str(caught.value).count("Next:") == 1


def test_a_learned_variance_is_refused():
    process = replace(X_0, variance="learned_range")
    with pytest.raises(ConfigError, match=r"process\.variance to be fixed"):
        PriorModel(SIZE, process, conditions())


def test_any_prediction_works():
    for prediction in ("eps", "v", "x_0"):
        process = ProcessConfig(prediction=prediction)
        assert PriorModel(SIZE, process, conditions()).loss(**batch()).isfinite().all()
