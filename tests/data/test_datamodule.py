import contextlib
import logging
from pathlib import Path

import jsonargparse
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.data.sources import SourceConfig
from composer_pl.errors import ConfigError, UserInputError

pytestmark = [
    # Lightning's advice on worker counts depends on the machine; tiny runs log rarely.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:.*`isinstance.treespec, LeafSpec.`.*"),
]


class Keys(LightningModule):
    """Trains one number and writes down the keys it is shown."""

    def __init__(self, stop_at: int = -1, *, read_estimate: bool = False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.stop_at = stop_at
        self.read_estimate = read_estimate
        self.seen: list[tuple[int, list[int]]] = []
        self.held_out: list[int] = []

    def training_step(self, batch: dict, batch_idx: int) -> torch.Tensor:
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append((self.current_epoch, batch["key"].tolist()))
        return (self.weight - batch["image"].mean()) ** 2

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        self.held_out += batch["key"].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.read_estimate:
            _ = self.trainer.estimated_stepping_batches
        return torch.optim.SGD(self.parameters(), lr=0.1)


def make(root: Path, **options: object) -> ComposerDataModule:
    defaults: dict[str, object] = {
        "canvas": 32,
        "resolution": 16,
        "batch_size": 2,
        "num_workers": 0,
        "val_fraction": 0.0,
    }
    return ComposerDataModule(str(root), **{**defaults, **options})


def fit(
    folder: Path,
    data: ComposerDataModule,
    module: Keys,
    *,
    resume: Path | None = None,
    checkpoint: ModelCheckpoint | None = None,
    epochs: int = 3,
    accumulate: int = 1,
    steps: int = -1,
) -> Keys:
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=epochs,
        max_steps=steps,
        accumulate_grad_batches=accumulate,
        callbacks=[checkpoint] if checkpoint else [],
        enable_checkpointing=checkpoint is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        use_distributed_sampler=False,
    )
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        trainer.fit(module, data, ckpt_path=resume, weights_only=True if resume else None)
    return module


def checkpoints(folder: Path, **options: object) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=folder, filename="{step}", save_top_k=-1, enable_version_counter=False, **options
    )


@pytest.mark.parametrize(
    ("before", "after", "read_estimate"), [(0, 2, False), (2, 0, False), (0, 0, True)]
)
def test_an_interrupted_run_goes_on_with_the_same_keys_and_any_worker_count(
    tmp_path: Path, eight: Path, before: int, after: int, read_estimate: bool
):
    whole = fit(tmp_path, make(eight), Keys()).seen
    assert len(whole) == 12
    assert len({key for _, keys in whole for key in keys}) == 24

    saver = checkpoints(tmp_path / "saved", every_n_train_steps=1)
    fit(tmp_path, make(eight, num_workers=before), Keys(stop_at=6), checkpoint=saver)
    resume = tmp_path / "saved" / "step=6.ckpt"  # two batches into the second epoch
    module = Keys(read_estimate=read_estimate)
    resumed = fit(tmp_path, make(eight, num_workers=after), module, resume=resume).seen
    assert resumed == whole[6:]


def test_every_place_of_saving_resumes_with_the_next_batch(tmp_path: Path, eight: Path):
    options = {"val_fraction": 0.3}
    whole = fit(tmp_path, make(eight, **options), Keys()).seen
    in_epoch = len(whole) // 3
    places = {
        "steps": {"every_n_train_steps": 1},
        "epochs": {"every_n_epochs": 1, "save_on_train_epoch_end": True},
        "validation": {"every_n_epochs": 1, "save_on_train_epoch_end": False},
    }
    tried = 0
    for name, place in places.items():
        saver = checkpoints(tmp_path / name, **place)
        fit(tmp_path, make(eight, **options), Keys(), checkpoint=saver, epochs=2)
        for path in sorted((tmp_path / name).glob("*.ckpt")):
            step = int(path.stem.removeprefix("step="))
            resumed = fit(tmp_path, make(eight, **options), Keys(), resume=path).seen
            assert resumed == whole[step:], f"{name}, after step {step}"
            tried += 1
    assert tried == 2 * in_epoch + 4


def test_a_run_interrupted_twice_within_accumulated_steps_is_the_same_run(
    tmp_path: Path, eight: Path
):
    whole = fit(tmp_path, make(eight, batch_size=1), Keys(), accumulate=2, epochs=2).seen
    seen: list[tuple[int, list[int]]] = []
    resume = None
    for part in range(3):
        # Seven batches are three steps and a half; only what was saved counts.
        module = Keys(stop_at=7 if part < 2 else -1)
        saver = checkpoints(tmp_path / str(part), every_n_train_steps=1)
        fit(
            tmp_path,
            make(eight, batch_size=1),
            module,
            resume=resume,
            checkpoint=saver,
            accumulate=2,
            epochs=2,
        )
        seen += module.seen[:6] if part < 2 else module.seen
        resume = max((tmp_path / str(part)).glob("*.ckpt"), key=lambda p: int(p.stem[5:]))
    assert seen == whole


def test_a_batch_in_whose_middle_a_run_failed_is_done_again(tmp_path: Path, eight: Path):
    whole = fit(tmp_path, make(eight), Keys()).seen
    saver = checkpoints(tmp_path / "saved", every_n_train_steps=99, save_on_exception=True)
    fit(tmp_path, make(eight), Keys(stop_at=6), checkpoint=saver)
    (saved,) = (tmp_path / "saved").glob("*.ckpt")
    assert fit(tmp_path, make(eight), Keys(), resume=saved).seen == whole[6:]


def test_resuming_with_other_data_says_so(
    tmp_path: Path, eight: Path, caplog: pytest.LogCaptureFixture
):
    saver = checkpoints(tmp_path / "saved", every_n_train_steps=1)
    fit(tmp_path, make(eight), Keys(stop_at=2), checkpoint=saver)
    (eight / "p0.png").unlink()
    with caplog.at_level(logging.WARNING):
        fit(tmp_path, make(eight, seed=5), Keys(), resume=tmp_path / "saved" / "step=2.ckpt")
    text = caplog.text
    assert "seed 0 -> 5" in text
    assert "other training pictures" in text


def test_held_out_pictures_stay_held_out_when_pictures_are_added(eight: Path, gradient):
    def split(root: Path) -> tuple[set[str], set[str]]:
        data = make(root, val_fraction=0.45)
        data.setup()
        assert data.train_dataset is not None
        assert data.val_dataset is not None
        parts = (data.train_dataset, data.val_dataset)
        train, held_out = ({record.name for record in part.records} for part in parts)
        indices = [index for part in parts for index in part.indices]
        assert sorted(indices) == list(range(len(train) + len(held_out)))
        return train, held_out

    train, held_out = split(eight)
    assert held_out
    assert not train & held_out
    for number in range(30):
        gradient(blue=number).save(eight / f"new{number}.png")
    more_train, more_held_out = split(eight)
    assert train < more_train
    assert held_out < more_held_out


def test_held_out_pictures_are_cut_the_same_way_every_time(tmp_path: Path, eight: Path):
    module = Keys()
    fit(tmp_path, make(eight, val_fraction=0.3, crop="random"), module, epochs=2)
    # One sanity batch, then every held-out picture in both epochs.
    count = len(set(module.held_out))
    assert module.held_out[-count:] == module.held_out[-2 * count : -count]


def test_max_samples_keeps_a_fixed_choice(eight: Path):
    def names(count: int) -> set[str]:
        data = make(eight, max_samples=count)
        data.setup()
        assert data.train_dataset is not None
        return {record.name for record in data.train_dataset.records}

    assert [len(names(count)) for count in (1, 3, 8, 99)] == [1, 3, 8, 8]
    assert names(1) < names(3) < names(8)


def test_sources_are_mixed_by_their_weights(tmp_path: Path, eight: Path, gradient):
    for name in ("cat", "dog"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        gradient().save(tmp_path / "classes" / name / "1.png")
    sources = [SourceConfig(root=str(tmp_path / "classes"), weight=4.0)]
    data = make(eight, sources=sources)
    captions = [caption for batch in data.train_dataloader() for caption in batch["caption"]]
    assert len(captions) == 16
    assert captions.count("a photo of a cat") == captions.count("a photo of a dog") == 4
    assert captions.count("picture 3") == 1


def test_the_options_are_understood_by_jsonargparse(eight: Path):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ComposerDataModule, "data")
    config = parser.parse_args(
        [
            f"--data.root={eight}",
            '--data.sources=[{"root": "other", "kind": "coco", "split": "val", "weight": 2}]',
            "--data.crop=random",
        ]
    )
    data = parser.instantiate(config).data
    assert [source.root for source in data.sources] == [str(eight), "other"]
    assert data.sources[1].weight == 2
    assert data.cut.crop == "random"
    assert "found out" in parser.format_help().replace("\n", " ")


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"num_workers": -1},
        {"val_fraction": 1.1},
        {"max_samples": 0},
        {"max_broken": 2.0},
        {"canvas": 8},
    ],
)
def test_impossible_options_are_named(eight: Path, options: dict):
    with pytest.raises(ConfigError, match=next(iter(options))):
        make(eight, **options)


def test_a_module_without_a_source_or_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"--data\.root"):
        ComposerDataModule()
    with pytest.raises(UserInputError, match="none among 0 files"):
        make(tmp_path).setup()


def test_something_is_held_out_and_something_is_trained_on(eight: Path):
    data = make(eight, val_fraction=0.001)
    data.setup()
    assert data.val_dataset is not None
    assert len(data.val_dataset) == 1
    with pytest.raises(UserInputError, match=r"--data\.val_fraction"):
        make(eight, val_fraction=0.999999).setup()


def test_all_pictures_of_a_test_folder_can_be_held_out(tmp_path: Path, eight: Path):
    data = make(eight, val_fraction=1.0)
    assert sum(len(batch["key"]) for batch in data.predict_dataloader()) == 8
    module = Keys()
    trainer = Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False
    )
    trainer.validate(module, make(eight, val_fraction=1.0), verbose=False)
    assert len(module.held_out) == 8
    with pytest.raises(UserInputError, match=r"--data\.val_fraction"):
        data.train_dataloader()


def test_predicting_without_held_out_pictures_says_how_to_have_some(eight: Path):
    with pytest.raises(UserInputError, match=r"--data\.val_fraction; 1 takes all"):
        make(eight).predict_dataloader()


def test_lightning_must_leave_the_sampler_alone(eight: Path):
    data = make(eight)
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False
    )
    data.trainer = trainer
    with pytest.raises(ConfigError, match="use_distributed_sampler"):
        data.train_dataloader()


@pytest.mark.data
def test_a_batch_of_every_real_source(real_data: Path):
    sources = [
        SourceConfig(root=str(real_data / name)) for name in ("coco", "flowers", "imagenet_sample")
    ]
    data = make(real_data / "clothing", sources=sources, batch_size=8, max_samples=60)
    for batch in data.train_dataloader():
        assert batch["source"].shape == (8, 3, 32, 32)
        assert batch["image"].std() > 0.1
    assert data.train_dataset is not None
    assert data.train_dataset.ledger.broken == ()
