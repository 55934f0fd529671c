"""A checkpoint becomes a folder that says what is known of its training."""

import pytest
import torch

from composer_pl.errors import CheckpointError
from composer_pl.models.cards import CARD, ModelFacts
from composer_pl.models.export import export_model, read_facts
from composer_pl.models.storage import (
    DESCRIPTION_KEY,
    EMA_KEY,
    MODEL_PREFIX,
    load_model,
    load_upsampler,
    save_model,
)

pytestmark = pytest.mark.usefixtures("fake_plugins")


def checkpoint(model):
    """What a training run leaves, with an average that differs from the last weights."""
    state = {MODEL_PREFIX + name: tensor for name, tensor in model.state_dict().items()}
    average = {name: tensor + 0.5 for name, tensor in model.state_dict().items()}
    return {
        "state_dict": state,
        DESCRIPTION_KEY: model.describe(),
        EMA_KEY: {"weights": average},
        "global_step": 1385,
        "epoch": 2,
    }


def test_a_checkpoint_becomes_a_folder_with_the_average(model, tmp_path):
    torch.save(checkpoint(model), tmp_path / "a.ckpt")
    export_model(tmp_path / "a.ckpt", tmp_path / "m")
    loaded, expected = load_model(tmp_path / "m"), load_model(tmp_path / "a.ckpt")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name])
        assert torch.equal(tensor, model.state_dict()[name] + 0.5)
    card = (tmp_path / "m" / CARD).read_text()
    for row in ("optimiser steps | 1,385", "epochs begun | 3", "weights | average over the run"):
        assert f"| {row}" in card


def test_the_last_weights_are_told_from_the_average(model, tmp_path):
    torch.save(checkpoint(model), tmp_path / "a.ckpt")
    export_model(tmp_path / "a.ckpt", tmp_path / "m", averaged=False)
    weights = load_model(tmp_path / "m").conditioner.presence
    assert torch.equal(weights, model.conditioner.presence)
    assert read_facts(tmp_path / "m").training["weights"] == "of the last step"


def test_half_precision_is_half_the_file(upsampler, tmp_path):
    save_model(upsampler, tmp_path / "u")
    export_model(tmp_path / "u", tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("u", "half")]
    assert sizes[1] < 0.7 * sizes[0]  # names are as long in both
    for name, tensor in load_upsampler(tmp_path / "half").state_dict().items():
        assert torch.equal(tensor, upsampler.state_dict()[name].half().float())


def test_facts_go_along_from_folder_to_folder_unless_stated_anew(model, tmp_path):
    facts = ModelFacts(license="MIT", training={"data": "toys"})
    save_model(model, tmp_path / "a", facts=facts)
    export_model(tmp_path / "a", tmp_path / "b")
    assert read_facts(tmp_path / "b") == facts
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()
    export_model(tmp_path / "a", tmp_path / "c", facts=ModelFacts(license="Apache-2.0"))
    assert read_facts(tmp_path / "c") == ModelFacts(license="Apache-2.0")


def test_what_is_no_model_is_refused_as_when_loading(tmp_path):
    (tmp_path / "x.ckpt").write_bytes(b"no")
    for path in ("x.ckpt", "absent.ckpt"):
        with pytest.raises(CheckpointError, match="Loading a model from"):
            export_model(tmp_path / path, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert read_facts(tmp_path / "x.ckpt") == ModelFacts()
