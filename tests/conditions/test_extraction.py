"""Extraction: only what is kept, only from keys, held against the spec, cached by content."""

import numpy as np
import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal, FakeRandom

from composer_pl.conditions.adherence import adherence
from composer_pl.conditions.extraction import Extraction
from composer_pl.errors import RepresentationError, UserInputError
from composer_pl.plugin import RepresentationSpec, WeightSpec
from composer_pl.plugin.digests import weights_folder


def batch_of(size=4, *, seed=0, side=48):
    generator = torch.Generator().manual_seed(seed)
    source = torch.rand(size, 3, side, side, generator=generator) * 2 - 1
    return {
        "source": source,
        "image": source[..., ::3, ::3],
        "caption": ["a bee", "", "fed", "  "][:size],
        "index": torch.arange(size),
        "key": torch.arange(size) + 100,
        "identity": torch.arange(size) + 200,
    }


class Counting(FakeGlobal):
    """Remembers how many pictures its extractor saw; the count is not configuration."""

    seen = 0

    def build_extractor(self):
        def extract(image):
            Counting.seen += len(image)
            return image.mean((2, 3))

        return extract


@pytest.fixture(autouse=True)
def fresh_count():
    Counting.seen = 0


def test_only_kept_samples_are_extracted_and_the_rest_is_zero():
    extraction = Extraction({"mean": Counting()}, value_size=(16, 16))
    keep = torch.tensor([[True, False, True, False]])
    value = extraction.extract(batch_of(), keep)["mean"]
    assert Counting.seen == 2
    assert torch.count_nonzero(value[~keep[0]]) == 0
    everything = extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))["mean"]
    torch.testing.assert_close(value[keep[0]], everything[keep[0]])


def test_local_values_come_at_the_asked_size():
    extraction = Extraction({"grey": FakeLocal()}, value_size=(24, 40))
    value = extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))["grey"]
    assert value.shape == (4, 1, 24, 40)


def test_random_extraction_is_a_function_of_the_key():
    extraction = Extraction({"random": FakeRandom()}, value_size=(16, 16))
    batch, keep = batch_of(), torch.ones(1, 4, dtype=torch.bool)
    first = extraction.extract(batch, keep)["random"]
    torch.manual_seed(5)
    assert torch.equal(first, extraction.extract(batch, keep)["random"])
    half = extraction.extract(batch, torch.tensor([[False, False, True, True]]))["random"]
    torch.testing.assert_close(half[2:], first[2:])
    batch["key"] = batch["key"] + 1
    assert not torch.equal(first, extraction.extract(batch, keep)["random"])


def test_a_sample_without_text_has_no_caption():
    extraction = Extraction({"text": FakeCaption(), "mean": FakeGlobal()}, value_size=(16, 16))
    available = extraction.available(batch_of())
    assert available.tolist() == [[True, False, True, False], [True] * 4]


def test_a_model_without_conditions_has_nothing_to_extract():
    extraction = Extraction({}, value_size=(16, 16))
    assert extraction.available(batch_of()).shape == (0, 4)
    assert extraction.extract(batch_of(), torch.ones(0, 4, dtype=torch.bool)) == {}


def test_values_of_the_dataset_are_taken_as_they_are():
    extraction = Extraction({"mean": Counting()}, value_size=(16, 16))
    batch = batch_of() | {"conditions": {"mean": torch.full((4, 3), 0.25)}}
    value = extraction.extract(batch, torch.ones(1, 4, dtype=torch.bool))["mean"]
    assert Counting.seen == 0
    assert (value == 0.25).all()


@pytest.mark.parametrize(
    ("given", "problem"),
    [(torch.zeros(4, 7), "expected shape"), (torch.full((4, 3), 2.0), "expected values in")],
)
def test_values_of_the_dataset_are_held_to_the_spec(given, problem):
    extraction = Extraction({"mean": FakeGlobal()}, value_size=(16, 16))
    batch = batch_of() | {"conditions": {"mean": given}}
    with pytest.raises(RepresentationError, match=f"'mean' from the data set: {problem}"):
        extraction.extract(batch, torch.ones(1, 4, dtype=torch.bool))


def test_only_kept_values_of_the_dataset_are_looked_at():
    extraction = Extraction({"mean": FakeGlobal()}, value_size=(16, 16))
    given = torch.zeros(4, 3)
    given[1] = torch.nan  # a sample without the value
    batch = batch_of() | {"conditions": {"mean": given}}
    keep = torch.tensor([[True, False, True, True]])
    assert extraction.extract(batch, keep)["mean"].isfinite().all()


class Label(FakeGlobal):
    """The number of a sample, which half precision does not hold."""

    @property
    def spec(self):
        return RepresentationSpec(shape=(1,), dtype="int64")

    def build_extractor(self):
        return lambda image: torch.arange(40_001, 40_001 + len(image))[:, None]


class Far(FakeGlobal):
    """Numbers beyond half precision."""

    @property
    def spec(self):
        return RepresentationSpec(shape=(3,))

    def build_extractor(self):
        return lambda image: image.mean((2, 3)) * 1e9


@pytest.mark.parametrize("plugin", [Label(), Far()], ids=["integers", "large numbers"])
def test_what_half_precision_cannot_hold_is_cached_in_full(plugin, tmp_path):
    keep = torch.ones(1, 4, dtype=torch.bool)
    extracted, stored, read = (
        Extraction({"x": plugin}, value_size=(16, 16), cache_dir=folder).extract(batch_of(), keep)[
            "x"
        ]
        for folder in (None, tmp_path, tmp_path)
    )
    assert torch.equal(extracted, stored)
    assert torch.equal(extracted, read)
    assert read.dtype == extracted.dtype


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "in-the-way").write_text("a file")
    extraction = Extraction(
        {"mean": FakeGlobal()}, value_size=(16, 16), cache_dir=tmp_path / "in-the-way"
    )
    with pytest.raises(UserInputError, match=r"in-the-way.*model\.cache_dir"):
        extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))


def test_a_full_disk_is_named_and_leaves_no_partial_file(tmp_path, monkeypatch):
    def full(file, value, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("composer_pl.conditions.cache.np.save", full)
    extraction = Extraction({"mean": FakeGlobal()}, value_size=(16, 16), cache_dir=tmp_path)
    with pytest.raises(UserInputError, match="No space left on device"):
        extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["facts.json"]


def test_processes_of_one_number_fill_one_cache(tmp_path, monkeypatch):
    """Two machines share the folder, and both call their process 7."""
    save, rivals = np.save, []

    def slow(file, value, allow_pickle):
        if not rivals:  # the other machine writes all samples while this one writes the first
            rivals.append(1)
            extract()
        save(file, value, allow_pickle=allow_pickle)

    def extract():
        extraction = Extraction({"mean": FakeGlobal()}, value_size=(16, 16), cache_dir=tmp_path)
        return extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))["mean"]

    monkeypatch.setattr("os.getpid", lambda: 7)
    monkeypatch.setattr("composer_pl.conditions.cache.np.save", slow)
    found = extract()
    assert rivals
    assert torch.equal(extract(), found)
    assert not [path for path in tmp_path.rglob(".*")], "nothing is left over"


class Supplied(Counting):
    """Reads a file that nobody published a digest of, or a folder."""

    weights = (WeightSpec(name="net.bin", url="", sha256="", size=0, license="MIT", origin="Me"),)

    def __init__(self, *, model: str = "", drop_prob: float = 0.5):
        super().__init__(drop_prob=drop_prob)
        self.model = model


@pytest.mark.parametrize("kind", ["file without a digest", "folder"])
def test_other_weights_under_the_same_name_are_another_cache(kind, tmp_path):
    model = tmp_path / "model"
    place = weights_folder() if kind == "file without a digest" else model
    place.mkdir()
    plugin = Supplied(model=str(model) if kind == "folder" else "")
    for content in (b"one", b"three"):
        (place / "net.bin").write_bytes(content)
        extraction = Extraction({"x": plugin}, value_size=(16, 16), cache_dir=tmp_path / "cache")
        extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))
    assert Counting.seen == 8


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda image: image[:, :2].mean((2, 3)), "expected shape"),
        (lambda image: image.mean((2, 3)) * torch.nan, "finite"),
        (lambda image: image.mean((2, 3)) + 5, r"expected values in \[-1.0, 1.0\]"),
    ],
)
def test_an_extractor_that_contradicts_its_spec_is_named(answer, problem):
    class Wrong(FakeGlobal):
        def build_extractor(self):
            return answer

    extraction = Extraction({"mean": Wrong()}, value_size=(16, 16))
    with pytest.raises(RepresentationError, match=f"'mean' with Wrong: .*{problem}"):
        extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))


def test_cached_values_are_not_extracted_again_and_are_the_same(tmp_path):
    keep = torch.ones(1, 4, dtype=torch.bool)

    def once():
        extraction = Extraction({"mean": Counting()}, value_size=(16, 16), cache_dir=tmp_path)
        return extraction.extract(batch_of(), keep)["mean"]

    fresh = once()
    assert Counting.seen == 4
    assert torch.equal(fresh, once())
    assert Counting.seen == 4


def test_another_configuration_does_not_read_old_values(tmp_path):
    keep = torch.ones(1, 4, dtype=torch.bool)
    for tokens in (1, 2):
        plugins = {"mean": Counting(tokens=tokens)}
        Extraction(plugins, value_size=(16, 16), cache_dir=tmp_path).extract(batch_of(), keep)
    assert Counting.seen == 8


def test_a_damaged_cache_file_is_extracted_anew(tmp_path):
    keep = torch.ones(1, 4, dtype=torch.bool)

    def once():
        extraction = Extraction({"mean": Counting()}, value_size=(16, 16), cache_dir=tmp_path)
        return extraction.extract(batch_of(), keep)["mean"]

    fresh = once()
    for path in tmp_path.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:40])
    assert torch.equal(fresh, once())


def test_random_values_are_never_cached(tmp_path):
    extraction = Extraction({"random": FakeRandom()}, value_size=(16, 16), cache_dir=tmp_path)
    extraction.extract(batch_of(), torch.ones(1, 4, dtype=torch.bool))
    assert not list(tmp_path.rglob("*.npy"))


def test_a_picture_obeys_its_own_value_best():
    extraction = Extraction({"grey": FakeLocal(), "mean": FakeGlobal()}, value_size=(16, 16))
    batch = batch_of()
    values = extraction.extract(batch, torch.ones(2, 4, dtype=torch.bool))
    for name, value in values.items():
        own = adherence(extraction, name, batch["source"], value)
        other = adherence(extraction, name, batch["source"], value.roll(1, 0))
        torch.testing.assert_close(own, torch.ones(4))
        assert (own > other).all()
