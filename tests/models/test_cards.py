"""A card tells what a model is made of, the same for the same model, and leaves people's alone."""

import pytest

from composer_pl.models.cards import MARK, ModelFacts, is_own, model_card
from composer_pl.plugin import WeightSpec

pytestmark = pytest.mark.usefixtures("fake_plugins")
FACTS = ModelFacts(license="Apache-2.0", training={"steps": "1,385", "data": "scenes | toys"})


def head(card):
    yaml = pytest.importorskip("yaml")
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def weights(license):
    return WeightSpec(
        name="net.pth", url="", sha256="", size=0, license=license, origin="A <b>|\nB, 2020"
    )


@pytest.fixture
def restricted(monkeypatch):
    """Make the extractor of the global condition read weights under some terms."""
    from fakes import FakeGlobal

    def use(license):
        monkeypatch.setattr(FakeGlobal, "weights_in_use", lambda self: (weights(license),))

    return use


def test_a_card_is_the_same_for_the_same_model(model):
    first, second = (model_card(model.describe(), parameters=1234, facts=FACTS) for _ in range(2))
    assert first == second
    assert first.endswith("|\n")


def test_a_free_model_has_its_trainers_licence(model):
    card = model_card(model.describe(), parameters=1234567, facts=FACTS)
    found = head(card)
    assert found["license"] == "apache-2.0"
    assert found["library_name"] == "composer-pl"
    assert found["pipeline_tag"] == "unconditional-image-generation"
    for text in (
        "| parameters | 1,234,567 |",
        "16 x 16 px",
        "| `mean` | composer-pl-fakes 1.0 |",
        "pip install composer-pl composer-pl-fakes\n",
        "| composer-pl-fakes 1.0 | MIT | grey, mean | package |",
        "| steps | 1,385 |",
        "| data | scenes \\| toys |",
    ):
        assert text in card
    assert "**Copyleft" not in card
    assert "**Not free" not in card


def test_what_nobody_stated_is_said(model):
    card = model_card(model.describe(), parameters=1, facts=ModelFacts())
    assert head(card)["license"] == "unknown"
    assert "**Nobody stated a licence of the weights here.**" in card
    assert "Not recorded." in card


@pytest.mark.parametrize("license", ["research only", "", "CC-BY-NC-4.0"])
def test_restricted_weights_are_told_in_head_and_text(model, restricted, license):
    restricted(license)
    card = model_card(model.describe(), parameters=1, facts=FACTS)
    assert head(card)["license"] == "other"
    assert head(card)["license_link"] == "README.md"
    assert f"**Not free for every use:** net.pth is under {license or 'no stated licence'}" in card
    assert "does not cover every use" in card


def test_copyleft_is_told(model, restricted):
    restricted("AGPL-3.0-only")
    described = model.describe()
    card = model_card(described, parameters=1, facts=FACTS)
    assert head(card)["license"] == "other"
    assert "**Copyleft:** net.pth is under AGPL-3.0-only. Extracting `mean` reads it" in card
    same = model_card(described, parameters=1, facts=ModelFacts(license="AGPL-3.0-only"))
    assert head(same)["license"] == "agpl-3.0"


def test_texts_of_others_stay_in_their_cell(model, restricted):
    restricted("MIT")
    card = model_card(model.describe(), parameters=1, facts=FACTS)
    assert "| net.pth | MIT | mean | A &lt;b>\\| B, 2020 |" in card


def test_an_upsampler_says_so(upsampler):
    card = model_card(upsampler.describe(), parameters=1, facts=FACTS)
    assert "It enlarges pictures to 32 x 32 px, 2 times the side." in card
    assert head(card)["pipeline_tag"] == "image-to-image"
    assert "upsampler=HERE" in card


def test_a_prior_says_what_it_reads_and_predicts():
    described = {"format": 1, "kind": "prior", "text": "words", "image": "look", "conditions": {}}
    card = model_card(described, parameters=1, facts=FACTS)
    assert "It predicts the image embedding `look` that fits a caption (`words`)." in card
    assert "pipeline_tag" not in head(card)


def test_facts_survive_a_config_and_foreign_ones_are_left_out():
    assert ModelFacts.from_dict(FACTS.to_dict()) == FACTS
    assert ModelFacts().to_dict() == {}
    assert ModelFacts.from_dict({"license": 3, "training": ["x"]}) == ModelFacts()


def test_a_persons_card_is_told_from_ours(model, tmp_path):
    path = tmp_path / "README.md"
    assert is_own(path)
    card = model_card(model.describe(), parameters=1, facts=FACTS)
    path.write_text(card)
    assert is_own(path)
    path.write_text(card.replace(MARK, ""))
    assert not is_own(path)
    path.write_bytes(b"\xff\xfe mine")
    assert not is_own(path)
