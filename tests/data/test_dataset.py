import logging
from pathlib import Path

import pytest
import torch

from composer_pl.data.dataset import CutConfig, PictureDataset, collate
from composer_pl.data.loader import make_loader
from composer_pl.data.records import Record
from composer_pl.data.sampler import EpochBatchSampler, HeldOutBatchSampler, SampleRef
from composer_pl.errors import ConfigError, UserInputError
from composer_pl.randomness import derive_key
from composer_pl.types import Batch

SMALL = CutConfig(canvas=48, resolution=16)


def dataset_of(
    root: Path, *, cut: CutConfig = SMALL, seed: int = 0, max_broken: float = 0.05
) -> PictureDataset:
    records = [
        Record(path=str(path), name=path.name, captions=("first", "second", "third"))
        for path in sorted(root.glob("*.png"))
    ]
    indices = [10 * slot for slot in range(len(records))]
    return PictureDataset(records, indices, cut=cut, seed=seed, max_broken=max_broken)


def test_a_sample_is_what_the_contract_says(eight: Path):
    batch: Batch = collate([dataset_of(eight)[SampleRef(0, slot)] for slot in (2, 5)])
    assert batch["source"].shape == (2, 3, 48, 48)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["source"].dtype == batch["image"].dtype == torch.float32
    assert batch["image"].abs().max() <= 1
    assert batch["index"].tolist() == [20, 50]
    assert batch["key"].tolist() == [derive_key(0, 0, 20), derive_key(0, 0, 50)]
    assert batch["identity"].dtype == torch.int64
    assert set(batch) == {"source", "image", "caption", "index", "key", "identity"}


def test_a_sample_is_a_function_of_seed_epoch_and_index(eight: Path):
    cut = CutConfig(canvas=48, resolution=16, crop="random", flip=0.5)
    refs = [SampleRef(epoch, slot) for epoch in range(3) for slot in range(8)]
    one, other = dataset_of(eight, cut=cut), dataset_of(eight, cut=cut)
    for ref in refs:
        a, b = one[ref], other[ref]
        assert torch.equal(a["source"], b["source"])
        assert (a["caption"], a["key"], a["identity"]) == (b["caption"], b["key"], b["identity"])
    samples = [one[ref] for ref in refs]
    assert len({sample["key"] for sample in samples}) == 24
    assert {sample["caption"] for sample in samples} == {"first", "second", "third"}
    reseeded = dataset_of(eight, seed=1, cut=cut)
    assert reseeded[refs[0]]["key"] != samples[0]["key"]


def test_an_identity_is_a_function_of_content_and_cut(eight: Path):
    centred = dataset_of(eight)
    identities = {centred[SampleRef(epoch, 3)]["identity"] for epoch in range(4)}
    assert len(identities) == 1
    assert len({centred[SampleRef(0, slot)]["identity"] for slot in range(8)}) == 8
    others = [
        CutConfig(canvas=40, resolution=16),
        CutConfig(canvas=48, resolution=16, flip=1.0),
        CutConfig(canvas=48, resolution=16, crop="random"),
    ]
    for other in others:
        assert dataset_of(eight, cut=other)[SampleRef(0, 3)]["identity"] not in identities
    (eight / "p3.png").rename(eight / "p3-renamed.png")
    assert dataset_of(eight)[SampleRef(0, 3)]["identity"] in identities
    (eight / "p3-renamed.png").write_bytes((eight / "p4.png").read_bytes())
    assert dataset_of(eight)[SampleRef(0, 3)]["identity"] not in identities


def test_a_repeat_within_an_epoch_has_another_key(eight: Path):
    dataset = dataset_of(eight)
    assert dataset[SampleRef(0, 1, 0)]["key"] != dataset[SampleRef(0, 1, 1)]["key"]


def test_a_bare_number_is_the_sample_of_validation(eight: Path):
    dataset = dataset_of(eight)
    assert dataset[4]["key"] == dataset[SampleRef(-1, 4)]["key"]


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n half"], ids=["empty", "html", "truncated"]
)
def test_a_broken_file_gives_its_place_to_the_next_one(eight: Path, content: bytes):
    (eight / "p7.png").write_bytes(content)
    dataset = dataset_of(eight)
    replacement = dataset[SampleRef(2, 7)]
    assert replacement["index"] == 0
    assert replacement["key"] == derive_key(0, 2, 70)
    assert torch.equal(replacement["source"], dataset[SampleRef(2, 0)]["source"])
    assert dataset.ledger.broken == (7,)
    assert dataset.ledger.seen == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_files_are_counted_and_named_once_by_any_number_of_workers(
    eight: Path, num_workers: int, caplog: pytest.LogCaptureFixture
):
    (eight / "p2.png").write_bytes(b"")
    dataset = dataset_of(eight)
    sampler = EpochBatchSampler([8], [1.0], batch_size=2, seed=0)
    loader = make_loader(dataset, sampler, num_workers=num_workers)
    with caplog.at_level(logging.WARNING):
        for epoch in range(3):
            sampler.set_epoch(epoch)
            indices = [i for batch in loader for i in batch["index"].tolist()]
            assert sorted(indices) == [0, 10, 30, 30, 40, 50, 60, 70]
    assert [record.getMessage() for record in caplog.records] == [
        "Passed over p2.png: an empty file."
    ]
    assert dataset.ledger.summary() == "1 of 8 pictures were broken and passed over"


@pytest.mark.parametrize("num_workers", [0, 1])
def test_too_many_broken_files_end_the_run_with_one_clear_message(eight: Path, num_workers: int):
    for number in (1, 2, 6):
        (eight / f"p{number}.png").write_bytes(b"")
    dataset = dataset_of(eight, max_broken=0.2)
    loader = make_loader(dataset, HeldOutBatchSampler(8, 4), num_workers=num_workers)
    with pytest.raises(UserInputError) as caught:
        list(loader)
    message = str(caught.value)
    assert "at most 20% broken files" in message
    assert "p1.png: an empty file" in message
    assert "Next:" in message
    assert "Traceback" not in message


def test_a_permitted_share_of_broken_files_is_passed_over(eight: Path):
    for number in (1, 2, 6):
        (eight / f"p{number}.png").write_bytes(b"")
    dataset = dataset_of(eight, max_broken=0.5)
    assert [dataset[slot]["index"] for slot in range(8)] == [0, 30, 30, 30, 40, 50, 70, 70]


def test_a_folder_of_nothing_but_broken_files_is_refused(eight: Path):
    for path in eight.glob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserInputError, match="broken"):
        dataset_of(eight, max_broken=1.0)[0]


def test_impossible_cuts_are_refused():
    with pytest.raises(ConfigError, match="resolution"):
        CutConfig(canvas=32, resolution=64)
    with pytest.raises(ConfigError, match="flip"):
        CutConfig(flip=1.5)
