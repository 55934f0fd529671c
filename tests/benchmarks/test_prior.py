"""The prior of scenes: training on embeddings, its measures in closed form, the shipped one."""

import pytest
import torch
from prior_data import Embeddings
from prior_measures import GALLERY, apart, predictions, ranks, table
from prior_training import batches, fresh_prior, split, train_prior

from composer_pl.backbones.prior_transformer import PriorConfig
from composer_pl.composing.composer import Composer
from composer_pl.composing.prior import check_prior
from composer_pl.models.pretrained import pretrained
from composer_pl.models.prior_sampling import PriorRecipe
from composer_pl.models.storage import load_model, load_prior

D = 160


def data(scenes=40):
    """Captions that give their picture's embedding away, two a scene; all look one way."""
    generator = torch.Generator().manual_seed(0)
    semantics = torch.randn(scenes, D, generator=generator) + 2
    semantics *= D**0.5 / semantics.norm(dim=1, keepdim=True)
    caption = torch.zeros(2 * scenes, 65, D)
    caption[:, 0] = semantics.repeat_interleave(2, 0)
    for row, words in zip(caption, range(2 * scenes), strict=True):
        row[1 : 2 + words % 9] = 1.0
    return Embeddings(caption=caption.half(), semantics=semantics.half(), texts=2)


def test_captions_stay_with_their_pictures_and_batches_have_one_length():
    whole = data()
    seen, held_out = split(whole, 8)
    assert (len(seen), len(held_out)) == (32, 8)
    assert torch.equal(held_out.caption[0], whole.caption[64])
    found = batches(seen, 8, torch.Generator().manual_seed(0))
    assert [len(part["semantics"]) for part in found] == [8] * 8
    spreads = []
    for part in found:
        torch.testing.assert_close(part["caption"][:, 0], part["semantics"])
        length = (part["caption"][:, 1:] != 0).any(2).sum(1)
        spreads.append(int(length.max() - length.min()))
    assert max(spreads) <= 3


def test_training_brings_the_loss_down_and_ends_with_the_average():
    torch.manual_seed(0)
    model = fresh_prior(PriorConfig(width=32, layers=1, head_dim=16))
    seen, held_out = split(data(), 8)
    facts = train_prior(model, seen, held_out, steps=60, batch=8, log=lambda line: None)
    assert len(facts["curve"]) == 20
    assert facts["curve"][-1]["loss"] < 0.9 * facts["curve"][0]["loss"]
    assert not model.training


def test_ranks_count_nearer_pictures_within_a_gallery():
    angles = torch.linspace(0, 1.5, GALLERY)
    true = torch.stack([angles.cos(), angles.sin()], 1)
    assert (ranks(true, true) == 1).all()
    assert torch.equal(ranks(true[:1].expand(GALLERY, -1), true), torch.arange(GALLERY) + 1)
    twice = torch.cat([true, true])
    assert (ranks(twice, twice) == 1).all(), "other galleries do not count"


def test_equal_embeddings_are_not_apart_and_orthogonal_ones_are_by_one():
    assert apart(torch.ones(1, 3, 4)).item() == pytest.approx(0, abs=1e-6)
    assert apart(3 * torch.eye(4)[None]).item() == pytest.approx(1, abs=1e-6)
    opposite = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    assert apart(opposite).item() == pytest.approx(2, abs=1e-6)


def test_a_table_leaves_unknown_cells_empty():
    text = table({"a": {"x": [0.5, 0.4, 0.6]}, "b": {"y": [1, 1, 1]}})
    assert text.splitlines()[2] == "| a | 0.500 [0.400, 0.600] |  |"


def test_the_shipped_prior_fits_the_shipped_model_and_knows_more_than_the_caption(unseen):
    from bank import build_bank

    base, prior = load_model("scenes-64"), load_prior("scenes-prior")
    check_prior(Composer(base), prior)
    weights = pretrained("scenes-prior") / "model.safetensors"
    assert weights.stat().st_size < 3_000_000
    plugins = {name: base.plugins[name] for name in ("caption", "semantics")}
    masks = torch.zeros(0, 1, 64, 64, dtype=torch.bool)
    values = build_bank(unseen, plugins, masks, log=lambda line: None).fixed
    caption, true = values["caption"].float(), values["semantics"].float()
    drawn = predictions(prior, caption, PriorRecipe(steps=16), draws=1)[:, 0]
    predicted, own = (torch.cosine_similarity(e, true) for e in (drawn, prior.sentence(caption)))
    assert predicted.mean() > own.mean()
    other = torch.cosine_similarity(drawn, true.roll(1, 0))
    assert other.mean() < 0.3 < predicted.mean()
