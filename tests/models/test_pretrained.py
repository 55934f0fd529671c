"""Shipped models are found by name, in the package and nowhere else."""

import pytest

from composer_pl.composing.composer import Composer
from composer_pl.errors import CheckpointError, UserInputError
from composer_pl.models import pretrained as module
from composer_pl.models.pretrained import model_path, pretrained, pretrained_names
from composer_pl.models.storage import load_model, save_model


@pytest.fixture
def shipped(fake_plugins, tmp_path, monkeypatch, model):
    """A folder of shipped models with one, `tiny-16`."""
    folder = tmp_path / "pretrained"
    save_model(model, folder / "tiny-16")
    (folder / "no-model").mkdir()
    monkeypatch.setattr(module, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_shipped_models_have_names(shipped):
    assert pretrained_names() == ["tiny-16"]
    assert pretrained("tiny-16") == shipped / "tiny-16"


def test_an_unknown_name_is_one_line_with_the_nearest(shipped):
    with pytest.raises(UserInputError, match=r"one of tiny-16, found no such one; did you mean"):
        pretrained("tiny-61")


def test_a_name_stands_for_a_path_where_there_is_none(shipped, model):
    assert load_model("tiny-16").names == model.names
    assert Composer.from_pretrained("tiny-16").names == model.names
    with pytest.raises(CheckpointError, match=r"nothing there; did you mean 'tiny-16'"):
        load_model("tiny-17")


def test_what_lies_there_goes_before_a_name(shipped, tmp_path):
    (tmp_path / "tiny-16").mkdir()
    assert model_path("tiny-16").absolute() == tmp_path / "tiny-16"
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model("tiny-16")


def test_the_folder_lies_in_the_package():
    assert (module.FOLDER.parent / "errors.py").is_file()
