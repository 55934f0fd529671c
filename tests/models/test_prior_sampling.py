"""Drawing embeddings: exact solutions, keys, best of several, refusals."""

import jaxtyping
import pytest
import torch
from prior_fakes import WIDTH, FakeWords, make_prior, unit

from composer_pl.diffusion.process import GaussianDiffusion, Prediction, ProcessConfig
from composer_pl.diffusion.samplers import ddim
from composer_pl.errors import UserInputError
from composer_pl.models.prior_sampling import (
    PriorRecipe,
    at_length,
    sample_embeddings,
    within_ball,
)
from composer_pl.models.sampling import sample_keys

FAST = PriorRecipe(steps=4)


def text(*captions):
    return FakeWords().build_extractor()(captions or ("a red cube",))


def draw(recipe=FAST, count=4, captions=("a red cube",), seed=0):
    return sample_embeddings(make_prior(), text(*captions), recipe, keys=sample_keys(seed, count))


def test_embeddings_have_the_one_length():
    found = draw()
    assert found.shape == (4, WIDTH)
    torch.testing.assert_close(found.norm(dim=1), torch.full((4,), WIDTH**0.5))
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_an_embedding_depends_on_its_key_and_caption_alone(sampler):
    recipe = PriorRecipe(steps=4, sampler=sampler)
    four = draw(recipe)
    torch.testing.assert_close(draw(recipe, count=2), four[:2], atol=1e-5, rtol=0)
    small = PriorRecipe(steps=4, sampler=sampler, max_batch=3)
    torch.testing.assert_close(draw(small), four, atol=1e-5, rtol=0)
    mixed = draw(recipe, captions=("a red cube", "grey", "grey", "a red cube"))
    torch.testing.assert_close(mixed[::3], four[::3], atol=1e-5, rtol=0)
    assert (mixed[1] - four[1]).abs().max() > 1e-3
    assert (draw(recipe, seed=1) - four).abs().max() > 1e-3


def test_best_of_keeps_the_candidate_nearest_to_the_caption():
    sentence = text()[:, 0, :WIDTH]
    one, three = draw(), draw(PriorRecipe(steps=4, best_of=3))
    fit_one, fit_three = ((found * sentence).sum(1) for found in (one, three))
    assert (fit_three >= fit_one - 1e-4).all(), "the first candidate is that of best_of=1"
    assert (fit_three > fit_one + 1e-3).any()
    split = draw(PriorRecipe(steps=4, best_of=3, max_batch=4))
    torch.testing.assert_close(split, three, atol=1e-5, rtol=0)


def test_guidance_one_is_the_caption_alone_and_zero_is_no_caption():
    def alike(a, b):
        return torch.allclose(draw(a, captions=("grey",)), draw(b), atol=1e-5)

    nothing = PriorRecipe(steps=4, guidance=0)
    assert alike(nothing, nothing), "whatever the caption"
    plain = PriorRecipe(steps=4, guidance=1)
    assert not alike(plain, plain)


def test_estimates_longer_than_embeddings_are_shortened_and_others_left():
    process = GaussianDiffusion(ProcessConfig(prediction="x_0"))
    x_0 = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.3, 0.4, 0.0, 0.0]])[:, :, None, None]
    x_t, t = torch.randn(2, 4, 1, 1), torch.tensor([300, 300])
    found = within_ball(lambda x, t: process.predict(x_0, x, t), process)(x_t, t)
    torch.testing.assert_close(found.x_0[0], x_0[0] * 2 / 5)
    torch.testing.assert_close(found.x_0[1], x_0[1])
    alpha, sigma = process.alpha_sigma(t, x_t)
    torch.testing.assert_close(alpha * found.x_0 + sigma * found.eps, x_t)


def test_one_known_embedding_is_drawn_exactly_from_its_posterior():
    """The exact denoiser of two embeddings leads to one of them; a sphere loses nothing."""
    process = GaussianDiffusion(ProcessConfig(prediction="x_0"))
    known = unit(torch.tensor([[1.0, 2.0, 0.0, -1.0], [-1.0, 0.5, 2.0, 1.0]]))

    def exact(x_t, t):
        alpha, sigma = process.alpha_sigma(t, x_t)
        flat = x_t.flatten(1)
        away = (flat[:, None] - alpha[:, 0] * known[None]).square().sum(2)
        share = (-away / (2 * sigma[:, :, 0, 0].square())).softmax(1)
        x_0 = (share @ known)[:, :, None, None]
        return Prediction(x_0=x_0, eps=(x_t - alpha * x_0) / sigma)

    noise = torch.randn(64, 4, 1, 1)
    drawn = ddim(within_ball(exact, process), noise, process.schedule, steps=64).flatten(1)
    nearest = (at_length(drawn)[:, None] - known[None]).norm(dim=2)
    assert nearest.min(1).values.max() < 0.02
    counts = nearest.argmin(1).bincount(minlength=2)
    assert counts.min() > 16, "both are drawn about as often"


def test_progress_counts_all_steps_of_all_batches():
    seen = []
    sample_embeddings(
        make_prior(),
        text(),
        PriorRecipe(steps=3, best_of=2, max_batch=4),
        keys=sample_keys(0, 3),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "euler"}, "sampler must be ddim or dpmpp_2m"),
        ({"steps": 0}, r"steps must be in 1\.\.1000"),
        ({"guidance": float("nan")}, "guidance must be a number in -1000..1000"),
        ({"best_of": 0}, r"best_of must be in 1\.\.100"),
        ({"max_batch": 0}, "max_batch must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(change, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(UserInputError, match=message):
        PriorRecipe(**change)


def test_a_wrong_number_of_captions_is_refused():
    with pytest.raises(UserInputError, match="expected one caption, or one for each, found 2"):
        draw(captions=("one", "two"), count=3)
