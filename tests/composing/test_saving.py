"""A composer is saved with its card, and goes to the Hub as exactly that folder."""

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from tiny import TINY

from composer_pl.composing import composer as module
from composer_pl.composing.composer import Composer
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.base import ComposerModel
from composer_pl.models.cards import ModelFacts


@pytest.fixture
def composer(fake_plugins):
    model = ComposerModel(TINY, ProcessConfig(), {"mean": FakeGlobal(), "grey": FakeLocal()})
    return Composer(model, facts=ModelFacts(license="MIT", training={"data": "toys"}))


def test_what_is_saved_is_loaded_bit_by_bit_with_its_facts(composer, tmp_path):
    composer.save_pretrained(tmp_path / "a")
    again = Composer.from_pretrained(tmp_path / "a")
    assert again.facts == composer.facts
    for name, tensor in again.model.state_dict().items():
        assert torch.equal(tensor, composer.model.state_dict()[name])
    again.save_pretrained(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()


def test_what_is_uploaded_is_what_is_saved(composer, tmp_path, monkeypatch):
    composer.save_pretrained(tmp_path / "m")
    sent = {}

    def push(folder, repository, *, private):
        sent.update({path.name: path.read_bytes() for path in module.Path(folder).iterdir()})
        return f"{repository} {private}"

    monkeypatch.setattr(module, "push_to_hub", push)
    assert composer.push_to_hub("me/toys") == "me/toys True"
    assert sent == {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
