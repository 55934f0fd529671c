import json
from dataclasses import replace

import adherence
import pytest
import torch
from adherence import measure_adherence, write
from drawing import extraction_of
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.evaluation.scenes.judge import Judge
from composer_pl.evaluation.scenes.truth import small
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl_color import Color
from composer_pl_intensity import Intensity
from composer_pl_masking import Masking
from composer_pl_sketch import Sketch

PLAIN = {  # condition -> a scorer that needs no trained judge
    "color": "Lab distribution",
    "intensity": "luma, SSIM",
    "masking": "known pixels",
    "sketch": "own extractor",
}


@pytest.fixture(scope="module")
def model():
    plugins = {
        "color": Color(),
        "sketch": Sketch(canvas=128),
        "intensity": Intensity(),
        "masking": Masking(),
    }
    process = ProcessConfig(variance="fixed")
    return ComposerModel(replace(TINY, resolution=64), process, plugins).eval()


def measured(model, unseen, *, own=True):
    return measure_adherence(
        model,
        extraction_of(model),
        Judge(8).eval(),
        unseen,
        recipe=SamplingRecipe(steps=1, guidance=1.0),
        own=own,
        chunk=6,
        log=lambda line: None,
    )


def painting(monkeypatch, paint):
    """Every model draws what `paint` answers to keys."""
    monkeypatch.setattr(
        adherence, "drawing_of", lambda *given, **settings: lambda values, keys: paint(keys)
    )


def test_a_perfect_painter_is_at_the_ceiling(model, unseen, monkeypatch):
    place = {int(key): row for row, key in enumerate(sample_keys(1, len(unseen)))}
    true = small(unseen.pixels)
    painting(monkeypatch, lambda keys: true[[place[int(key)] for key in keys]])
    found = measured(model, unseen)
    for line in found.facts["table"]:
        if PLAIN[line["condition"]] == line["scorer"]:
            assert line["way"] == [1.0, 1.0, 1.0]
            assert line["shuffled"][0] < line["ceiling"][0]
    assert found.facts["all_given"]["luma_ssim"][0] == pytest.approx(1)
    assert found.facts["all_given"]["psnr"][0] > 45  # rounded to 8 bits


def test_a_painter_of_one_picture_is_on_the_floor(model, unseen, monkeypatch):
    painting(monkeypatch, lambda keys: torch.zeros(len(keys), 3, 64, 64))
    table = measured(model, unseen, own=False).facts["table"]
    assert "own extractor" not in {line["scorer"] for line in table}
    for line in table:
        if PLAIN[line["condition"]] == line["scorer"]:
            assert line["way"][0] == pytest.approx(0, abs=1e-4)
            assert line["blind_way"][0] == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_an_untrained_model_is_measured_and_written(model, unseen, tmp_path):
    found = measured(model, unseen)
    write(found, unseen, list(model.names), tmp_path, unseen.pixels[:8])
    facts = json.loads((tmp_path / "adherence.json").read_text())
    assert facts["pictures"] == 12
    assert {line["condition"] for line in facts["table"]} == set(model.names)
    assert facts["copies"]["none"]["training_pictures"] == 8
    for name in ("grid_even.png", "grid_worst.png", "neighbours_none.png", "adherence.md"):
        assert (tmp_path / name).stat().st_size > 0
