import os
import zipfile

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from tiny_training import make_system, make_trainer, train

from composer_pl.errors import CheckpointError, ConfigError
from composer_pl.models.storage import load_model
from composer_pl.systems import checkpoints
from composer_pl.systems.checkpoints import (
    AtomicCheckpointIO,
    Checkpoints,
    find_damage,
    find_last,
    list_checkpoints,
)

CONTENT = {"state_dict": {"w": torch.arange(600.0)}, "global_step": 3}


@pytest.fixture
def files():
    return AtomicCheckpointIO()


def test_what_is_saved_is_loaded(files, tmp_path):
    path = tmp_path / "new" / "step-00000003.ckpt"
    files.save_checkpoint(CONTENT, path)
    loaded = files.load_checkpoint(path)
    assert loaded["global_step"] == 3
    assert torch.equal(loaded["state_dict"]["w"], CONTENT["state_dict"]["w"])
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_previous_file_and_no_debris(files, tmp_path, monkeypatch):
    path = tmp_path / "step-00000003.ckpt"
    files.save_checkpoint(CONTENT, path)
    before = path.read_bytes()

    def full(checkpoint, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(CheckpointError, match=r"No space left.* Next: free space"):
        files.save_checkpoint(CONTENT | {"global_step": 4}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_takes_half_a_file_leaves_the_previous_one(files, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "step-00000003.ckpt"
    files.save_checkpoint(CONTENT, path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"File too large.* Next: free space"):
            files.save_checkpoint(CONTENT | {"global_step": 4}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert files.load_checkpoint(path)["global_step"] == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(files, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="Permission denied"):
        files.save_checkpoint(CONTENT, tmp_path / "step-00000003.ckpt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_never_written(files, tmp_path, value):
    bad = {"state_dict": {"w": torch.tensor([1.0, value])}, "global_step": 7}
    with pytest.raises(CheckpointError, match=r"step 7.*state_dict\.w"):
        files.save_checkpoint(bad, tmp_path / "x.ckpt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "text"])
def test_damage_is_found_and_named(files, tmp_path, damage):
    path = tmp_path / "step-00000003.ckpt"
    files.save_checkpoint(CONTENT, path)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    elif damage == "text":
        content = bytearray(b"<html>not found</html>")
    else:
        with zipfile.ZipFile(path) as archive:
            data = next(i for i in archive.infolist() if i.filename.endswith("data/0"))
        content[data.header_offset + 400] ^= 1
    path.write_bytes(content)
    assert find_damage(path)
    with pytest.raises(CheckpointError, match="a whole file was expected"):
        files.load_checkpoint(path)


def test_a_checkpoint_that_would_run_code_is_refused_unrun(files, tmp_path):
    path = tmp_path / "evil.ckpt"
    marker = tmp_path / "marker"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, path)
    with pytest.raises(CheckpointError, match="something else"):
        files.load_checkpoint(path)
    assert not marker.exists()


def test_last_is_the_newest_whole_checkpoint_and_says_what_it_passes_over(files, tmp_path):
    folder = tmp_path / "checkpoints"
    for step in (5, 20, 100):
        files.save_checkpoint(CONTENT, folder / f"step-{step:08d}.ckpt")
    (folder / "step-00000100.ckpt").write_bytes(b"cut off")
    (folder / "notes.ckpt").write_bytes(b"of the user")
    told = []
    assert find_last(tmp_path, told.append).name == "step-00000020.ckpt"
    assert len(told) == 1
    assert "step-00000100.ckpt" in told[0]


@pytest.mark.parametrize("files_there", [False, True])
def test_last_without_a_usable_checkpoint_is_an_error(tmp_path, files_there):
    if files_there:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "step-00000001.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"--ckpt_path last.*Next:"):
        find_last(tmp_path, lambda line: None)


def test_only_the_newest_are_kept(fake_plugins, pictures, tmp_path):
    trainer = make_trainer(tmp_path, Checkpoints(every_n_steps=2, keep=2), max_steps=7)
    from composer_pl.data.datamodule import ComposerDataModule

    data = ComposerDataModule(
        str(pictures), canvas=32, resolution=16, batch_size=4, num_workers=0, val_fraction=0.0
    )
    trainer.fit(make_system(), datamodule=data)
    kept = [path.name for path in list_checkpoints(tmp_path / "checkpoints")]
    assert kept == ["step-00000007.ckpt", "step-00000006.ckpt"]


def test_a_branch_from_an_older_checkpoint_does_not_mix_with_the_run(
    fake_plugins, pictures, tmp_path
):
    run = tmp_path / "run"
    train(pictures, run, every=2, max_steps=6)
    older, newest = (run / "checkpoints" / f"step-0000000{n}.ckpt" for n in (4, 6))
    with pytest.raises(CheckpointError, match=r"step 4.*step-00000006.*default_root_dir"):
        train(pictures, run, every=1, max_steps=5, ckpt_path=older)
    train(pictures, tmp_path / "branch", every=1, max_steps=5, ckpt_path=older)
    newest.write_bytes(b"cut off")  # a damaged one is no run to protect, nor does it displace a new
    train(pictures, run, every=1, max_steps=5, ckpt_path=older)
    assert find_last(run, lambda line: None).name == "step-00000005.ckpt"


def test_a_new_checkpoint_is_never_the_one_that_is_removed(fake_plugins, pictures, tmp_path):
    from composer_pl.data.datamodule import ComposerDataModule

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step in (50, 60):
        (folder / f"step-{step:08d}.ckpt").write_bytes(b"cut off")
    trainer = make_trainer(tmp_path, Checkpoints(every_n_steps=1, keep=2), max_steps=3)
    data = ComposerDataModule(
        str(pictures), canvas=32, resolution=16, batch_size=4, num_workers=0, val_fraction=0.0
    )
    trainer.fit(make_system(), datamodule=data)
    assert find_last(tmp_path, lambda line: None).name == "step-00000003.ckpt"


def test_one_checkpoint_is_too_few_to_keep():
    with pytest.raises(ConfigError, match="keep"):
        Checkpoints(keep=1)


def test_a_training_checkpoint_is_plain_data_and_a_model(fake_plugins, pictures, tmp_path):
    _, checkpoint = train(pictures, tmp_path, max_steps=2)  # read with weights_only=True
    assert checkpoint["composer_pl"]["conditions"]["mean"]["plugin"] == "fake_global"
    assert "hyper_parameters" not in checkpoint
    path = tmp_path / "checkpoints" / "step-00000002.ckpt"
    averaged, raw = load_model(path), load_model(path, averaged=False)
    assert averaged.names == ("mean", "grey", "random", "text")
    name, weight = next(iter(averaged.named_parameters()))
    assert torch.equal(weight, checkpoint["composer_pl_ema"]["weights"][name])
    assert torch.equal(
        dict(raw.named_parameters())[name], checkpoint["state_dict"][f"model.{name}"]
    )


def test_a_checkpoint_of_another_model_is_refused_with_the_first_difference(fake_plugins):
    system, other = make_system(), make_system(conditions={})
    checkpoint = {}
    other.on_save_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match=r"model\.conditions\.mean is missing in the check"):
        system.on_load_checkpoint(checkpoint)
    ours = make_system(conditions={"mean": FakeGlobal(), "grey": FakeLocal()})
    turned = make_system(conditions={"grey": FakeLocal(), "mean": FakeGlobal()})
    ours.on_save_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match=r"\(grey, mean\), found mean, grey"):
        turned.on_load_checkpoint(checkpoint)
    with pytest.raises(CheckpointError, match="no model description"):
        system.on_load_checkpoint({"state_dict": {}})
