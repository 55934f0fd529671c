"""Measures of the cascade's benchmark: what they say of pictures whose answer is known."""

import json
from dataclasses import replace

import full_size
import measure_cascade
import pytest
import refine_stage
import torch
import torch.nn.functional as F
from cascade_measures import consistency, patch_distance, psnr, sharpness
from tiny import UPSAMPLER, filled
from torchvision.utils import save_image

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.models.storage import load_upsampler, save_model
from composer_pl.models.upsampler import UpsamplerModel, UpsamplingConfig


@pytest.fixture(scope="module")
def truth():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 3, 32, 32, generator=generator) * 1.6 - 0.8


def small(pictures):
    return F.interpolate(pictures, scale_factor=0.25, mode="bicubic", antialias=True)


def large(pictures):
    return F.interpolate(pictures, scale_factor=4.0, mode="bicubic", antialias=True)


def test_the_truth_is_perfect(truth):
    assert psnr(truth, truth).min() == 100
    assert consistency(truth, small(truth)).min() > 90
    torch.testing.assert_close(sharpness(truth, truth), torch.ones(3))
    assert patch_distance(truth, truth, patches=500) == 0


def test_an_even_error_has_its_decibels_and_no_patch_sees_it(truth):
    """0.2 of a range of 2 is a tenth: 20 dB; patches have lost their means."""
    torch.testing.assert_close(psnr(truth + 0.2, truth), torch.full((3,), 20.0))
    assert patch_distance(truth + 0.2, truth, patches=500) < 1e-3


def test_interpolation_is_blunt_and_has_other_patches(truth):
    found = large(small(truth))
    assert sharpness(found, truth).max() < 0.3
    doubled = truth.mean((2, 3), keepdim=True) + 2 * (truth - truth.mean((2, 3), keepdim=True))
    torch.testing.assert_close(sharpness(doubled, truth), torch.full((3,), 4.0))
    assert patch_distance(found, truth, patches=500) > 5


def test_memory_is_told_of_the_whole_cascade(tmp_path, capsys):
    """Two tiny stages, from folders; 64 px is where the cascade begins."""
    stages = []
    for side in (128, 256):
        backbone = replace(UPSAMPLER, resolution=side)
        model = UpsamplerModel(backbone, ProcessConfig(prediction="v"), {}, UpsamplingConfig())
        save_model(model, tmp_path / str(side))
        stages += ["--stage", str(side), str(tmp_path / str(side))]
    measure_cascade.main(
        ["memory", *stages, "--pictures", "1", "--steps", "1", "--out", str(tmp_path / "out")]
    )
    told = json.loads(capsys.readouterr().out)
    assert told["sides"] == [64, 128, 256]
    assert told["peak_gib"] >= told["peak_before_gib"] > 0
    assert (tmp_path / "out" / "cascade-0.png").exists()


def test_photos_are_cut_to_squares(tmp_path):
    wide = torch.zeros(3, 20, 60)
    wide[:, :, 20:40] = 1  # the middle square is white
    save_image(wide, tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no picture")
    torch.testing.assert_close(measure_cascade.read(tmp_path, 20, 5), torch.ones(1, 3, 20, 20))


def test_a_stage_goes_on_from_its_weights_with_less_noise(tmp_path):
    start = UpsamplerModel(
        replace(UPSAMPLER, resolution=32), ProcessConfig(prediction="v"), {}, UpsamplingConfig()
    )
    save_model(start, tmp_path / "start")
    words = ["--start", str(tmp_path / "start"), "--seed", "6", "--scenes", "2", "--batch", "2"]
    refine_stage.main([*words, "--seconds", "1", "--out", str(tmp_path)])
    found = load_upsampler(tmp_path / "model")
    assert found.upsampling == replace(start.upsampling, max_level=0.03, level=0.03)
    moved = [
        float((a - b).detach().abs().max())
        for a, b in zip(found.parameters(), start.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 0.5
    told = json.loads((tmp_path / "curve.json").read_text())
    assert told["settings"]["start"] == str(tmp_path / "start")


# -- full size -------------------------------------------------------------------------------------


def test_seams_are_seen_and_patches_apart_from_them():
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 32 - 1  # equal steps: nothing stands out
    both = ramp + ramp.mT
    torch.testing.assert_close(full_size.step_ratio(both, 16, 4), torch.ones(1))
    stairs = (torch.arange(64) // 16).float()
    broken = both + (stairs[:, None] + stairs) / 32  # every 16th step is twice as large
    torch.testing.assert_close(full_size.step_ratio(broken, 16, 4), torch.full((1,), 2.0))
    # Of the 15 borders of patches three are double: 18 / 15 against the lines inside patches.
    torch.testing.assert_close(full_size.step_ratio(broken, 4, 1), torch.full((1,), 1.2))


def test_a_stage_is_drawn_whole_in_tiles_and_crop_by_crop():
    backbone = replace(UPSAMPLER, resolution=64, attention_levels=(0,), trained_side=32)
    process, upsampling = ProcessConfig(prediction="x_0"), UpsamplingConfig(factor=4)
    model = UpsamplerModel(backbone, process, {}, upsampling).eval()
    filled(model)
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    rows = full_size.measure(model, truth, steps=1, trained=32)
    assert [*rows] == [
        "whole, attention: windows", "whole, attention: log", "whole, attention: all",
        "tiles of 32 px", "tiles of 64 px", "crops of 32 px, each alone",
    ]  # fmt: skip
    own = rows[f"whole, attention: {backbone.attention_reach}"]
    assert own == rows["tiles of 64 px"]  # one tile is the whole
