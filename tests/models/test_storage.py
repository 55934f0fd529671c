"""Models on disk: round trips, and files that are damaged, foreign or hostile."""

import json
import os

import pytest
import torch

from composer_pl.errors import CheckpointError, UnknownConditionError
from composer_pl.models import storage
from composer_pl.models.cards import CARD, ModelFacts
from composer_pl.models.storage import (
    CONFIG,
    DESCRIPTION_KEY,
    EMA_KEY,
    MODEL_PREFIX,
    WEIGHTS,
    load_model,
    load_upsampler,
    read_config,
    save_model,
)

pytestmark = pytest.mark.usefixtures("fake_plugins")


def checkpoint(model, **extra):
    state = {MODEL_PREFIX + name: tensor for name, tensor in model.state_dict().items()}
    return {"state_dict": state, DESCRIPTION_KEY: model.describe(), **extra}


def test_a_folder_gives_back_the_model(model, tmp_path):
    save_model(model, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.describe() == model.describe()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_a_checkpoint_gives_averaged_or_raw_weights(model, tmp_path):
    average = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    path = tmp_path / "a.ckpt"
    torch.save(checkpoint(model, **{EMA_KEY: {"weights": average}}), path)
    assert torch.equal(load_model(path).conditioner.presence, model.conditioner.presence + 1)
    raw = load_model(path, averaged=False)
    assert torch.equal(raw.conditioner.presence, model.conditioner.presence)


def test_half_precision_weights_load_as_float32(model, tmp_path):
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    save_model(model, tmp_path, weights=halves)
    assert load_model(tmp_path).conditioner.presence.dtype == torch.float32


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_checkpoint_that_would_run_code_is_refused_unrun(model, tmp_path):
    path, marker = tmp_path / "evil.ckpt", tmp_path / "ran"
    torch.save(checkpoint(model, payload=Bomb(marker)), path)
    with pytest.raises(CheckpointError, match="that would run code") as caught:
        load_model(path)
    assert not marker.exists()
    assert "weights_only" not in str(caught.value), "no advice to read it unsafely"


def test_a_missing_plugin_is_named_with_its_package(model, tmp_path):
    save_model(model, tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    config["conditions"]["mean"] |= {"plugin": "gone", "distribution": "composer-pl-gone"}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(UnknownConditionError, match="pip install composer-pl-gone"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "damage", ["no weights", "cut weights", "no config", "bad json", "list", "deep"]
)
def test_a_damaged_folder_is_refused_in_one_line(model, tmp_path, damage):
    save_model(model, tmp_path)
    match damage:
        case "no weights":
            (tmp_path / WEIGHTS).unlink()
        case "cut weights":
            (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:-100])
        case "no config":
            (tmp_path / CONFIG).unlink()
        case "bad json":
            (tmp_path / CONFIG).write_text("{")
        case "deep":
            (tmp_path / CONFIG).write_text("[" * 100_000)
        case "list":
            (tmp_path / CONFIG).write_text("[]")
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(model, tmp_path):
    weights = dict(model.state_dict())
    weights.pop("conditioner.presence")
    save_model(model, tmp_path, weights=weights)
    with pytest.raises(CheckpointError, match=r"do not fit.*conditioner\.presence is missing"):
        load_model(tmp_path)
    weights["conditioner.presence"] = torch.zeros(1)
    save_model(model, tmp_path, weights=weights)
    with pytest.raises(CheckpointError, match=r"presence is \(1,\), expected \(2, 64\)"):
        load_model(tmp_path)
    save_model(model, tmp_path, weights={**model.state_dict(), "more": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="more belongs to no part"):
        load_model(tmp_path)


def test_weights_that_do_not_fit_are_blamed_on_plugins_of_other_versions_only(model, tmp_path):
    save_model(model, tmp_path, weights={"foreign": torch.zeros(1)})
    with pytest.raises(
        CheckpointError, match=r"own description \(.*Next: give another copy"
    ) as told:
        load_model(tmp_path)
    assert "install" not in str(told.value)
    config = json.loads((tmp_path / CONFIG).read_text())
    for condition in config["conditions"].values():
        condition["version"] = "1.0.7"
    (tmp_path / CONFIG).write_text(json.dumps(config))
    message = r"or the installed plugins .*: composer-pl-fakes 1\.0\.7\."
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {DESCRIPTION_KEY: [1]},
        {"state_dict": [1, 2]},
        {EMA_KEY: {}},
        {EMA_KEY: [1]},
    ],
)
def test_a_checkpoint_of_another_layout_is_refused(model, tmp_path, change):
    torch.save({**checkpoint(model), **change}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="found one of something else"):
        load_model(tmp_path / "x.ckpt")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {1: 2}])
def test_data_that_is_no_checkpoint_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="found one of something else"):
        load_model(tmp_path / "x.ckpt")


def test_a_file_of_a_model_folder_is_answered_with_the_folder(model, tmp_path):
    save_model(model, tmp_path / "m")
    for name in (CONFIG, WEIGHTS):
        with pytest.raises(CheckpointError, match=r"Next: give .*m\.$"):
            load_model(tmp_path / "m" / name)


def test_integers_keep_their_digits_in_a_folder(model, tmp_path):
    large = 2**24 + 1  # the first integer that float32 does not have
    model.register_buffer("table", torch.tensor([large]))
    save_model(model, tmp_path)
    _, weights = storage._read_folder(tmp_path)
    assert weights["table"].tolist() == [large]


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"PK\x03\x04 broken", b"root:x:0:0:root:/root:/bin/bash\nbin:x:1:1"],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="expected a checkpoint") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert content.startswith(b"PK") or "Error" not in str(caught.value).partition("found")[2]


def test_a_folder_that_is_not_taken_leaves_the_older_model_whole(model, tmp_path):
    resource = pytest.importorskip("resource")
    save_model(model, tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    half = len(before["model.safetensors"]) // 2
    changed = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (half, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"found: File too large.* Next: free space"):
            save_model(model, tmp_path / "m", weights=changed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="found nothing there"):
        load_model(tmp_path / "absent")


@pytest.mark.parametrize("half", [False, True])
def test_a_folder_gives_back_the_upsampler_bit_by_bit(upsampler, tmp_path, half):
    weights = upsampler.state_dict()
    if half:
        weights = {name: tensor.half() for name, tensor in weights.items()}
    save_model(upsampler, tmp_path, weights=weights)
    loaded = load_upsampler(tmp_path)
    assert loaded.describe() == upsampler.describe()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[name].float())


def test_a_model_of_the_other_kind_is_refused_in_one_line(model, upsampler, tmp_path):
    save_model(upsampler, tmp_path / "u")
    save_model(model, tmp_path / "m")
    torch.save(checkpoint(upsampler), tmp_path / "u.ckpt")
    for path in (tmp_path / "u", tmp_path / "u.ckpt"):
        with pytest.raises(CheckpointError, match="expected a base model, found an upsampler") as e:
            load_model(path)
        assert str(path) in str(e.value)
        assert "\n" not in str(e.value)
    with pytest.raises(CheckpointError, match="expected an upsampler, found a base model"):
        load_upsampler(tmp_path / "m")
    assert load_upsampler(tmp_path / "u.ckpt").describe() == upsampler.describe()


def test_a_folder_of_before_kinds_loads(model, tmp_path):
    save_model(model, tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    del config["kind"]
    (tmp_path / CONFIG).write_text(json.dumps(config))
    assert load_model(tmp_path).describe() == model.describe()


def test_weights_of_another_upsampler_are_refused(upsampler, tmp_path):
    weights = dict(upsampler.state_dict())
    weights.pop("level.0.weight")
    save_model(upsampler, tmp_path, weights=weights)
    message = r"level\.0\.weight is missing\). Next: give another copy"
    with pytest.raises(CheckpointError, match=message):
        load_upsampler(tmp_path)


def test_a_misspelt_name_of_a_shipped_model_is_asked_about(tmp_path, monkeypatch):
    from composer_pl.models import storage

    monkeypatch.setattr(storage, "pretrained_names", lambda: ["scenes-64"])
    with pytest.raises(CheckpointError, match=r"did you mean 'scenes-64'\? Next: "):
        load_model("scenes-46")


# -- what else lies in a folder --------------------------------------------------------------------


def test_nothing_in_a_folder_runs(model, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    folder = tmp_path / "m"
    save_model(model, folder)
    code = f"import os\nos.mkdir({str(marker)!r})\n"
    for name in ("modeling.py", "__init__.py", "setup.py", "conftest.py", "fakes2.py"):
        (folder / name).write_text(code)
    for name in ("pytorch_model.bin", "model.pkl", "model.ckpt", "optimizer.pt"):
        torch.save(Bomb(marker), folder / name)
    config = json.loads((folder / CONFIG).read_text())
    config["auto_map"] = {"AutoModel": "modeling.Model"}
    config["class_path"] = config["_target_"] = "os.mkdir"
    (folder / CONFIG).write_text(json.dumps(config))
    monkeypatch.chdir(folder)
    loaded = load_model(folder)
    assert loaded.describe() == model.describe()
    assert not marker.exists()
    torch.load(folder / "model.pkl", weights_only=False)  # the trap would have snapped
    assert marker.exists()


def test_a_condition_named_by_an_import_path_is_refused(model, tmp_path):
    save_model(model, tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    config["conditions"]["mean"] |= {"plugin": "os.path:join", "distribution": "composer-pl-fakes"}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(UnknownConditionError, match=r"no installed package provides"):
        load_model(tmp_path)


def test_a_card_is_written_and_renewed_the_same(model, tmp_path):
    facts = ModelFacts(license="Apache-2.0", training={"steps": "12"})
    save_model(model, tmp_path / "a", facts=facts)
    card = (tmp_path / "a" / CARD).read_text()
    assert "| steps | 12 |" in card
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    assert f"| parameters | {numbers:,} |" in card
    config = read_config(tmp_path / "a")
    save_model(load_model(tmp_path / "a"), tmp_path / "b", facts=ModelFacts.from_dict(config))
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()
    save_model(model, tmp_path / "a")
    assert "12" not in (tmp_path / "a" / CARD).read_text()
    assert "license" not in read_config(tmp_path / "a")


def test_a_persons_card_is_kept(model, tmp_path):
    (tmp_path / CARD).write_text("# Mine\n")
    save_model(model, tmp_path)
    assert (tmp_path / CARD).read_text() == "# Mine\n"
