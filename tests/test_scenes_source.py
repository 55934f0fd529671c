"""Scenes as training data: rendered on the fly, alone or in batches, the same for any workers."""

import pytest
import torch

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.source import SceneConfig, SceneSource
from composer_pl.data.sources import SourceConfig
from composer_pl.errors import ConfigError


def module(*, workers=0, batch=4, endless=False, resolution=16):
    scenes = SceneConfig(count=24, seed=3, size=32, endless=endless)
    return ComposerDataModule(
        sources=[SourceConfig(kind="scenes", scenes=scenes)],
        canvas=32,
        resolution=resolution,
        batch_size=batch,
        num_workers=workers,
        flip=0.5,
        val_fraction=0.2,
    )


def samples(loader):
    found = {}
    for batch in loader:
        for i, index in enumerate(batch["index"].tolist()):
            found[index] = {name: batch[name][i] for name in ("source", "image", "caption")}
    return found


def test_samples_do_not_depend_on_batches_or_workers():
    one = samples(module(batch=1).train_dataloader())
    four = samples(module(batch=4).train_dataloader())
    workers = samples(module(batch=4, workers=1).train_dataloader())
    assert len(four) >= 12
    for found in (four, workers):
        for index, sample in found.items():
            if index in one:
                assert torch.equal(sample["source"], one[index]["source"])
                assert torch.equal(sample["image"], one[index]["image"])
                assert sample["caption"] == one[index]["caption"] != ""


def test_canvas_is_the_rendering_and_is_never_mirrored():
    data = module()
    source = SceneSource(SceneConfig(count=24, seed=3, size=32))
    for index, sample in samples(data.train_dataloader()).items():
        picture = source.rendering([index]).image[0]
        torch.testing.assert_close(sample["source"], picture, atol=1e-6, rtol=0)


def test_endless_scenes_are_new_in_every_epoch_and_validation_stays():
    data = module(endless=True)
    data.setup()
    loader = data.train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.batch_sampler.set_epoch(epoch)
        epochs.append(samples(loader))
    both = epochs[0].keys() & epochs[1].keys()
    assert both
    assert all(not torch.equal(epochs[0][i]["source"], epochs[1][i]["source"]) for i in both)
    first, second = samples(data.val_dataloader()), samples(data.val_dataloader())
    assert all(torch.equal(first[i]["source"], second[i]["source"]) for i in first)


def test_a_made_picture_is_the_same_prepared_or_alone():
    source, other = (SceneSource(SceneConfig(count=9, size=32)) for _ in range(2))
    source.prepare([(1, 10), (4, 11)])
    prepared, alone = source.make(4, 11), other.make(4, 11)
    assert prepared.image.tobytes() == alone.image.tobytes()
    assert (prepared.digest, prepared.captions) == (alone.digest, alone.captions)
    assert prepared.digest != source.make(1, 10).digest


def test_other_rules_or_sizes_have_other_identities():
    digests = {
        SceneSource(config).make(0, 0).digest
        for config in (
            SceneConfig(size=32),
            SceneConfig(size=48),
            SceneConfig(size=32, seed=1),
            SceneConfig(size=32, rules=SceneRules(excluded=["red cone"])),
        )
    }
    assert len(digests) == 4


def test_a_mixture_with_a_folder_and_a_config_file_parse(tmp_path):
    from composer_pl.cli.fit import configured

    config = tmp_path / "c.yaml"
    config.write_text(
        "model:\n  conditions: {}\n"
        "data:\n  sources:\n    - kind: scenes\n      weight: 2.0\n"
        "      scenes:\n        count: 50\n"
        "        rules:\n          max_objects: 3\n          excluded: [red sphere]\n"
        "          correlated: {blue cube: 0.5}\n"
    )
    parsed = configured(["--config", str(config)], prog="t").config
    source = parsed["data"]["sources"][0]
    rules = source["scenes"]["rules"] if isinstance(source, dict) else source.scenes.rules
    excluded = rules["excluded"] if isinstance(rules, dict) else rules.excluded
    assert list(excluded) == ["red sphere"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "scenes", "root": "x"}, "either a root or the kind 'scenes'"),
        ({}, "either a root or the kind"),
        ({"root": "x", "scenes": SceneConfig()}, "of the kind 'scenes' only"),
    ],
)
def test_a_source_is_a_folder_or_scenes(wrong, message):
    with pytest.raises(ConfigError, match=message):
        SourceConfig(**wrong)


def test_impossible_scene_configs_are_refused():
    with pytest.raises(ConfigError, match="count of at least 1"):
        SceneConfig(count=0)
    with pytest.raises(ConfigError, match="16 to 2048"):
        SceneConfig(size=5)


def test_scenes_that_come_again_are_rendered_once(monkeypatch):
    source = SceneSource(SceneConfig(count=9, size=32))
    drawn = []
    render = source.rendering
    monkeypatch.setattr(source, "rendering", lambda wanted: drawn.extend(wanted) or render(wanted))
    first = [source.prepare([(i, 10), (i + 1, 11)]) or source.make(i, 10) for i in (0, 2)]
    source.prepare([(3, 20), (0, 21), (4, 22)])
    assert drawn == [0, 1, 2, 3, 4]
    assert source.make(0, 21) is first[0]
    monkeypatch.setattr(source, "_most", 4)  # no room: what is not wanted now is forgotten
    source.prepare([(5, 30), (4, 31)])
    source.prepare([(0, 40)])
    assert drawn == [0, 1, 2, 3, 4, 5, 0]


def test_endless_scenes_are_not_kept():
    source = SceneSource(SceneConfig(count=9, size=32, endless=True))
    for key in range(3):
        source.prepare([(0, key)])
    assert len(source._ready) == 1
