"""Parts remember what they were extracted with, and a model refuses those of another kind."""

from pathlib import Path

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from tiny import TINY

from composer_pl.composing.blending import parts_between
from composer_pl.composing.composer import Composer
from composer_pl.composing.parts import Parts
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import RepresentationError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe

FAST = SamplingRecipe(steps=1)
RED = Image.new("RGB", (64, 64), "red")


class Clip(FakeGlobal):
    """A vector of one length whose meaning depends on which network made it."""

    def __init__(self, *, model: str = "large", weights_file: str | None = None):
        self.model, self.weights_file = model, weights_file
        self.tokens = 2

    def agreement(self):
        """As the real ones: the path stands for a file that is not there."""
        identity = self.weights_file or "digest"
        if self.weights_file and Path(self.weights_file).exists():
            identity = Path(self.weights_file).read_text()
        return {"clip": f"{self.model}/{identity}"}


def composer(plugin, **settings):
    torch.manual_seed(0)
    conditions = {"clip": plugin, "grey": FakeLocal()}
    return Composer(ComposerModel(TINY, ProcessConfig(), conditions), settings=settings)


def test_parts_record_settings_and_agreement():
    parts = composer(Clip(model="small")).decompose(RED)
    assert parts.facts["clip"] == {
        "settings": {"model": "small", "weights_file": None},
        "agreement": {"clip": "small/digest"},
    }
    assert parts.facts["grey"]["agreement"] == {}


@pytest.mark.parametrize("foreign", ["first", "second"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_what_another_model_extracted_is_not_mixed_in(foreign, share):
    ours = composer(Clip(model="large"))
    parts = {"first": ours.decompose(RED), "second": ours.decompose(RED)}
    parts[foreign] = composer(Clip(model="small")).decompose(RED)
    with pytest.raises(RepresentationError, match="found one extracted with clip small/digest"):
        parts_between(ours, **parts, share=share, size=(16, 16), task="a test")


@pytest.mark.parametrize("through_a_file", [False, True])
def test_parts_of_another_kind_are_refused_in_one_line(tmp_path, through_a_file):
    parts = composer(Clip(model="small")).decompose(RED)
    if through_a_file:
        parts.save(tmp_path / "p.safetensors")
        parts = Parts.load(tmp_path / "p.safetensors")
    ours = composer(Clip(model="large"))
    message = (
        r"condition 'clip': expected a part extracted with clip large/digest, as the model was "
        r"trained, found one extracted with clip small/digest. Next: extract the part again"
    )
    with pytest.raises(RepresentationError, match=message):
        ours.compose(parts, recipe=FAST)
    with pytest.raises(RepresentationError, match=message):
        ours.compose(ours.decompose(RED), against=parts.only("clip"), recipe=FAST)
    assert ours.compose(parts.only("grey"), recipe=FAST), "what asks for no agreement is taken"


def test_parts_of_the_same_kind_and_parts_without_a_record_are_taken():
    ours = composer(Clip())
    parts = composer(Clip()).decompose(RED)
    assert ours.compose(parts, recipe=FAST)
    assert ours.compose(Parts(dict(parts)), recipe=FAST)


def test_a_file_that_only_the_training_machine_has_contradicts_nothing(tmp_path):
    there = tmp_path / "clip.safetensors"
    there.write_text("abc")
    parts = composer(Clip(weights_file=str(there))).decompose(RED)
    assert parts.facts["clip"]["agreement"] == {"clip": "large/abc"}
    ours = composer(Clip(weights_file=str(there)))
    there.unlink()
    assert ours.compose(parts, recipe=FAST)


def test_what_a_setting_chose_here_is_taken_too(tmp_path):
    mine = tmp_path / "converted.safetensors"
    mine.write_text("the same weights in another layout")
    ours = composer(Clip(), clip={"weights_file": str(mine)})
    assert ours.compose(ours.decompose(RED), recipe=FAST)
