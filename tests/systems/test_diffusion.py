import pytest
import torch
from fakes import FakeGlobal
from tiny_training import make_system, make_trainer

from composer_pl.data.datamodule import ComposerDataModule
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
    from composer_pl.models.sampling import SamplingRecipe

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
    from composer_pl.models.sampling import SamplingRecipe

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
    trainer.predict(system, data.val_dataloader(), return_predictions=False)
    assert list((tmp_path / "run" / "predictions").glob("*.png"))


def test_compiling_keeps_the_names_of_the_weights(fake_plugins):
    plain, compiled = make_system(), make_system(compile=True)
    compiled.on_fit_start()  # nothing is compiled before the first call
    assert compiled.model.backbone._compiled_call_impl is not None
    assert plain.state_dict().keys() == compiled.state_dict().keys()
