from types import SimpleNamespace

import pytest
import torch
from fakes import FakeGlobal
from tiny_training import make_system, make_trainer

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.data.sampler import HeldOutBatchSampler
from composer_pl.errors import ConfigError
from composer_pl.systems.ema import EMA
from composer_pl.systems.previews import Previews, preview_rows


@pytest.fixture
def data(pictures):
    return ComposerDataModule(
        str(pictures), canvas=32, resolution=16, batch_size=4, num_workers=0, val_fraction=0.4
    )


@pytest.fixture
def batch(data):
    return next(iter(data.val_dataloader()))


def rows_of(batch, rows):
    return {
        key: value[rows] if isinstance(value, torch.Tensor) else [value[r] for r in rows]
        for key, value in batch.items()
        if key != "conditions"
    }


def test_the_loss_of_a_sample_does_not_depend_on_its_batch(fake_plugins, batch):
    system = make_system(dropout=0.0)
    together = system.losses(batch, system.val_split)
    apart = torch.cat([system.losses(rows_of(batch, [i]), system.val_split) for i in (2, 0, 1)])
    torch.testing.assert_close(together[[2, 0, 1]], apart, atol=1e-6, rtol=0)


def test_draws_are_a_function_of_the_keys_alone(fake_plugins, batch):
    system = make_system()
    torch.manual_seed(1)
    first = system.draw(batch)
    torch.manual_seed(2)
    again = make_system(seed=77).draw(batch)
    other = system.draw(batch | {"key": batch["key"] + 1})
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first[2], other[2])


def test_timesteps_cover_the_schedule_evenly(fake_plugins, batch):
    system = make_system(conditions={"mean": FakeGlobal()})
    many = {
        "key": torch.arange(4000),
        "caption": [""] * 4000,
        "image": torch.zeros(4000, 3, 1, 1),
    }
    _, t, _ = system.draw(many)
    counts = torch.bincount(t * 10 // 1000, minlength=10)
    assert int(t.min()) >= 0
    assert int(t.max()) <= 999
    assert ((counts - 400).abs() < 100).all()


def test_a_sample_without_caption_never_keeps_it(fake_plugins, batch):
    system = make_system()
    silent = batch | {"caption": ["", "text", " ", "more"]}
    for shift in range(30):
        keep, _, _ = system.draw(silent | {"key": silent["key"] + shift})
        assert not keep[3, 0]
        assert not keep[3, 2]


def test_the_network_learns_one_batch_by_heart(fake_plugins, batch):
    system = make_system(dropout=0.0)
    optimizer = system.configure_optimizers()
    optimizer.param_groups[0]["lr"] = 1e-2
    losses = []
    for _ in range(60):
        loss = system.losses(batch, system.train_split).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_a_grid_shows_original_conditions_and_samples(fake_plugins, batch):
    from composer_pl.models.recipe import SamplingRecipe

    system = make_system(sampling=SamplingRecipe(steps=2)).eval()
    batch["caption"][0] = ""
    rows = preview_rows(system, batch, seed=3)
    titles = [panel.title for panel in rows[0]]
    names = ["mean", "grey", "random", "text"]
    alone = [f"{name} alone" for name in names]
    assert titles == ["original", *names, *alone, "all", "none"]
    assert rows[0][4].content == "(none)"
    assert isinstance(rows[1][4].content, str)  # a caption is shown as text
    again = preview_rows(system, batch, seed=3)
    for row, other in zip(rows, again, strict=True):
        for panel, twin in zip(row, other, strict=True):
            if isinstance(panel.content, torch.Tensor):
                assert panel.content.shape[0] == 3
                assert float(panel.content.min()) >= 0
                assert torch.equal(panel.content, twin.content)


def test_fit_validate_and_predict_write_grids_metrics_and_pictures(fake_plugins, data, tmp_path):
    from composer_pl.models.recipe import SamplingRecipe

    system = make_system(sampling=SamplingRecipe(steps=2))
    trainer = make_trainer(
        tmp_path / "run", EMA(), Previews(every_n_steps=2, pictures=3), max_steps=3
    )
    trainer.fit(system, datamodule=data)
    grids = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert grids == ["step-00000002.png", "step-00000003.png"]
    (result,) = trainer.validate(system, data, verbose=False)
    assert result["val/loss"] > 0
    assert {"val/loss_with/grey", "val/loss_conditions/0"} <= result.keys()
    trainer.predict(system, datamodule=data, return_predictions=False)
    held_out = data.val_dataset
    expected = {
        f"{index:06d}-{record.path.rpartition('/')[2].removesuffix('.png')}.png"
        for index, record in zip(held_out.indices, held_out.records, strict=True)
    }
    assert {path.name for path in (tmp_path / "run" / "predictions").iterdir()} == expected


def test_a_predicted_picture_has_its_own_conditions_whatever_its_neighbours_lack(
    fake_plugins, batch
):
    from composer_pl.models.recipe import SamplingRecipe

    system = make_system(sampling=SamplingRecipe(steps=2)).eval()
    for p in system.model.parameters():  # zeros at the start would hide what conditions do
        torch.nn.init.normal_(p, std=0.2)
    mixed = batch | {"caption": ["a bad cab", "", "bead", " "]}
    with torch.no_grad():
        together = system.predict_step(mixed, 0)
        apart = torch.cat([system.predict_step(rows_of(mixed, [i]), 0) for i in range(4)])
        silent = system.predict_step(batch | {"caption": [""] * 4}, 0)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
    assert (together[0] - silent[0]).abs().max() > 1e-3  # its caption counts
    assert torch.allclose(together[1], silent[1], atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_precisions_that_round_pictures_are_refused(fake_plugins, data, tmp_path, precision):
    trainer = make_trainer(tmp_path / "run", max_steps=1, precision=precision)
    with pytest.raises(ConfigError, match=f"found '{precision}'"):
        trainer.fit(make_system(), datamodule=data)


def test_a_picture_repeated_on_another_process_is_scored_once(fake_plugins, batch, monkeypatch):
    system = make_system()
    loaders = [
        SimpleNamespace(batch_sampler=HeldOutBatchSampler(9, 4, rank=rank, world_size=2))
        for rank in (0, 1)
    ]
    for batch_idx, counted in ((0, [4.0, 4.0]), (1, [4.0, 0.0])):
        for loader, samples in zip(loaders, counted, strict=True):
            before = float(system.val_split.counts[0])
            system._score(batch, batch_idx, loader)
            assert float(system.val_split.counts[0]) - before == samples


def test_compiling_keeps_the_names_of_the_weights(fake_plugins):
    plain, compiled = make_system(), make_system(compile=True)
    compiled.on_fit_start()  # nothing is compiled before the first call
    assert compiled.model.backbone._compiled_call_impl is not None
    assert plain.state_dict().keys() == compiled.state_dict().keys()
