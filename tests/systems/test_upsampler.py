"""Training an upsampler: crops that lie over each other, draws of the keys alone, start weights."""

import pytest
import torch
import torch.nn.functional as F
from tiny import UPSAMPLER

from composer_pl.backbones.unet import UNetConfig
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import CheckpointError
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.storage import save_model
from composer_pl.models.upsampling_config import UpsamplingConfig
from composer_pl.systems.compatibility import refuse_other_model
from composer_pl.systems.previews import upsampled_rows
from composer_pl.systems.upsampler import UpsamplerSystem, crops


def make_system(trained_side=16, **settings):
    torch.manual_seed(0)
    options = {name: settings.pop(name) for name in ("start", "seed") if name in settings}
    backbone = {**vars(UPSAMPLER), "trained_side": trained_side}
    return UpsamplerSystem(
        UNetConfig(**backbone),
        ProcessConfig(prediction="v"),
        UpsamplingConfig(**{"factor": 4, **settings}),
        sampling=SamplingRecipe(steps=1, guidance=1.0),
        **options,
    )


def make_batch(count=3):
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1
    picture = F.interpolate(coarse, 32, mode="bicubic").clamp(-1, 1)
    numbers = torch.arange(count)
    return {
        "source": picture,
        "image": picture,
        "caption": [""] * count,
        "index": numbers,
        "key": numbers,
        "identity": numbers,
    }


@pytest.mark.parametrize("degradation", ["none", "bsr"])
def test_the_loss_of_a_sample_does_not_depend_on_its_batch(degradation):
    system, batch = make_system(degradation=degradation), make_batch()
    together = system.losses(batch, system.val_split)
    torch.manual_seed(9)
    for i in range(3):
        one = {name: value[i : i + 1] for name, value in batch.items()}
        alone = system.losses(one, system.val_split)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-4)


def test_crops_of_both_sizes_show_the_same_part():
    """An average of 4 pixels commutes with a crop that begins at a pixel of the small picture."""
    system, batch = make_system(), make_batch(40)
    drawn = system.draw(batch)
    assert len(set(drawn.top.tolist())) == len(set(drawn.left.tolist())) == 5  # 0, 4, ... 16
    assert not (drawn.top % 4).any()
    large = crops(batch["image"], drawn.top, drawn.left, 16)
    small = crops(F.avg_pool2d(batch["image"], 4), drawn.top // 4, drawn.left // 4, 4)
    torch.testing.assert_close(F.avg_pool2d(large, 4), small)


def test_draws_are_a_function_of_the_keys_alone():
    batch = make_batch()
    torch.manual_seed(1)
    first = make_system().draw(batch)
    again = make_system(seed=7).draw(batch)
    other = make_system().draw({**batch, "key": batch["key"] + 3})
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.eps, other.eps)
    assert first.level.max() <= 0.4


def test_a_fresh_network_has_the_loss_of_its_target():
    system, batch = make_system(), make_batch()
    drawn = system.draw(batch)
    x_0 = crops(batch["image"], drawn.top, drawn.left, 16)
    alpha, sigma = system.model.process.alpha_sigma(drawn.t, x_0)
    expected = (alpha * drawn.eps - sigma * x_0).square().mean((1, 2, 3))
    torch.testing.assert_close(system.losses(batch, system.val_split), expected)
    assert set(system.val_split.read()) >= {"loss"}


def test_previews_and_predictions_are_whole_pictures():
    system, batch = make_system(), make_batch(2)
    system.eval()
    assert system.predict_step(batch, 0).shape == (2, 3, 32, 32)
    rows = upsampled_rows(system, batch, seed=0)
    assert [panel.title for panel in rows[0]] == ["small", "bicubic", "sample", "original"]
    assert len(rows) == 2


def test_training_may_begin_from_the_weights_of_another_upsampler(tmp_path):
    first = make_system()
    for parameter in first.model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_model(first.model, tmp_path / "first")
    second = make_system(degradation="bsr_light", start=str(tmp_path / "first"))
    for name, value in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value)
    other = {**vars(UPSAMPLER), "channels": 8}
    with pytest.raises(CheckpointError, match="one with the layers of model"):
        UpsamplerSystem(
            UNetConfig(**other), upsampling=UpsamplingConfig(), start=str(tmp_path / "first")
        )


def test_checkpoints_of_other_kinds_and_settings_are_refused_and_older_ones_are_not():
    ours = make_system().description
    refuse_other_model(ours, ours)
    older = {**ours, "upsampling": dict(ours["upsampling"]), "backbone": dict(ours["backbone"])}
    del older["upsampling"]["degradation"]
    del older["backbone"]["attention_reach"]
    refuse_other_model(ours, older)
    with pytest.raises(CheckpointError, match="an upsampler was expected, as configured, found a "):
        refuse_other_model(ours, {**ours, "kind": "base"})
    with pytest.raises(CheckpointError, match=r"model.upsampling.factor is 4, in the checkpoint 2"):
        refuse_other_model(ours, {**ours, "upsampling": {**ours["upsampling"], "factor": 2}})
