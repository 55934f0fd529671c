"""Pictures to evaluate on: the same ones every time, unseen, and refused where they are too few."""

import numpy as np
import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeRandom
from PIL import Image

from composer_pl.conditions.extraction import Extraction
from composer_pl.data.scenes.captions import caption
from composer_pl.errors import MissingWeightsError, UserInputError
from composer_pl.evaluation.samples import (
    UNSEEN,
    extracted,
    folder_samples,
    pixel_values,
    scene_samples,
)


@pytest.fixture
def folder(tmp_path):
    """Five pictures, three of them with a caption."""
    generator = np.random.default_rng(0)
    for i in range(5):
        pixels = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        if i < 3:
            (tmp_path / f"{i}.txt").write_text(f"picture {i}")
    return str(tmp_path)


def test_scenes_are_unseen_whole_and_the_same_for_any_count():
    two, one = (scene_samples(n, resolution=16, seed=3) for n in (2, 1))
    assert len(two) == 2
    assert [scene.index for scene in two.scenes] == [UNSEEN, UNSEEN + 1]
    assert two.batch["caption"] == [caption(scene, 0).text for scene in two.scenes]
    assert two.batch["source"].shape == (2, 3, 128, 128)
    assert two.batch["image"].shape == (2, 3, 16, 16)
    assert torch.equal(two.batch["source"][:1], one.batch["source"])
    assert int(two.batch["key"][0]) == int(one.batch["key"][0])
    assert max(len(scene.objects) for scene in two.scenes) <= 3


def test_a_folder_gives_pictures_with_captions_and_says_what_it_passes_over(folder):
    samples = folder_samples(folder, 3, resolution=16, canvas=32)
    assert sorted(samples.batch["caption"]) == ["picture 0", "picture 1", "picture 2"]
    assert any("2 pictures" in note and "passed over" in note for note in samples.notes)
    assert samples.batch["source"].shape == (3, 3, 32, 32)
    again = folder_samples(folder, 3, resolution=16, canvas=32)
    assert again.facts == samples.facts
    fewer = folder_samples(folder, 2, resolution=16, canvas=32)
    assert fewer.facts["digest"] != samples.facts["digest"]
    every = folder_samples(folder, 5, resolution=16, canvas=32, captioned=False)
    assert every.batch["caption"].count("") == 2


def test_fewer_pictures_than_asked_for_are_refused(folder):
    with pytest.raises(UserInputError, match=r"expected 4, found 3 with a caption.*at most 3"):
        folder_samples(folder, 4, resolution=16, canvas=32)
    with pytest.raises(UserInputError, match=r"expected 9, found 5\. Next: ask for at most 5"):
        folder_samples(folder, 9, resolution=16, canvas=32, captioned=False)


class NoWeights(FakeGlobal):
    """Cannot be extracted here."""

    def build_extractor(self):
        raise MissingWeightsError("its weights are absent. Next: fetch them.")


def test_what_cannot_be_extracted_is_left_out_with_the_reason(folder):
    plugins = {"text": FakeCaption(), "mean": FakeGlobal(), "heavy": NoWeights()}
    extraction = Extraction(plugins, value_size=(32, 32))
    samples = folder_samples(folder, 5, resolution=16, canvas=32, captioned=False)
    values, notes = extracted(extraction, samples, ["text", "mean", "heavy"])
    assert list(values) == ["mean"]
    torch.testing.assert_close(values["mean"], samples.batch["source"].mean((2, 3)))
    assert notes[0] == "text is left out: 2 of 5 pictures have no caption."
    assert notes[1].startswith("heavy is left out: its weights are absent")


def test_values_of_pixels_are_asked_for_by_name():
    plugins = {"text": FakeCaption(), "random": FakeRandom()}
    extraction = Extraction(plugins, value_size=(32, 32))
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    found = pixel_values(extraction, pixels, ["aab", "b"], ["text"])
    assert list(found) == ["text"]
    assert found["text"][:, :2].tolist() == [[2, 1], [0, 1]]
    first, second = (
        pixel_values(extraction, pixels, ["", ""], ["random"], seed=seed)["random"]
        for seed in (0, 1)
    )
    assert first.shape == (2, 1, 32, 32)
    assert not torch.equal(first, second)
