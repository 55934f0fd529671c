"""Truth of scenes: those rendered on the fly and those of a root on disk are the same."""

import json

import pytest
import torch

from composer_pl.data.scenes.export import ExportSettings, export_scenes
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.errors import UserInputError
from composer_pl.evaluation.control import subjects
from composer_pl.evaluation.control.subjects import root_scenes, scene_truth, training_pictures
from composer_pl.evaluation.samples import folder_samples, scene_samples
from composer_pl.evaluation.scenes.judge import to_side


def test_rendered_samples_are_the_scenes_that_their_truth_is_of():
    samples = scene_samples(3, resolution=64)
    found = scene_truth(samples.scenes, samples.batch["caption"])
    apart = (found.truth.image - samples.batch["image"]).abs().mean((1, 2, 3))
    assert apart.max() < 0.05  # two ways to make a picture smaller
    assert found.claimed.any(1).sum() >= 2
    assert not (found.claimed & ~found.truth.pairs).any()


@pytest.fixture
def root(tmp_path):
    settings = ExportSettings(
        train=4, val=3, first=7, seed=5, size=64, rules=SceneRules(max_objects=2)
    )
    export_scenes(tmp_path / "scenes", settings)
    return tmp_path / "scenes"


def test_scenes_of_a_root_are_known_by_their_numbers(root):
    samples = folder_samples(str(root), 3, resolution=32, canvas=64, split="val")
    scenes = root_scenes(str(root), samples, split="val")
    assert {scene.index for scene in scenes} == {11, 12, 13}
    found = scene_truth(scenes, samples.batch["caption"])
    apart = (found.truth.image - samples.batch["source"]).abs().mean((1, 2, 3))
    assert apart.max() < 0.05  # the root was rendered at 64 px, the truth at 128
    elsewhere = (found.truth.image.roll(1, 0) - samples.batch["source"]).abs().mean((1, 2, 3))
    assert (elsewhere > 2 * apart).all()


def test_another_folder_is_no_scenes_and_a_foreign_root_is_refused(root, tmp_path):
    samples = folder_samples(str(root), 2, resolution=32, canvas=64)
    assert root_scenes(str(root / "train"), samples) is None
    described = json.loads((root / "scenes.json").read_text())
    described["settings"]["renderer"] = 99
    (root / "scenes.json").write_text(json.dumps(described))
    with pytest.raises(UserInputError, match="found version 99"):
        root_scenes(str(root), samples)
    (root / "scenes.json").write_text("{}")
    with pytest.raises(UserInputError, match="KeyError"):
        root_scenes(str(root), samples)


def test_a_foreign_caption_claims_nothing():
    scenes = scene_samples(1, resolution=16, first=3).scenes
    assert not scene_truth(scenes, ["a dog"]).claimed.any()


def test_training_pictures_come_from_a_folder_or_are_rendered(root):
    found = training_pictures(str(root), None, resolution=16)
    assert found.shape == (4, 3, 16, 16)
    assert found.dtype == torch.uint8
    assert len(training_pictures(None, 2, resolution=16)) == 2
    with pytest.raises(UserInputError, match="at least one training picture"):
        training_pictures(None, 0, resolution=16)


def test_training_pictures_are_the_same_in_blocks(root, monkeypatch):
    whole = [training_pictures(*of, resolution=16) for of in ((str(root), None), (None, 3))]
    monkeypatch.setattr(subjects, "_BLOCK", 2)
    parts = [training_pictures(*of, resolution=16) for of in ((str(root), None), (None, 3))]
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_pictures_of_a_small_model_reach_the_judge():
    samples = scene_samples(1, resolution=16)
    assert to_side(samples.batch["image"]).shape == (1, 3, 64, 64)
