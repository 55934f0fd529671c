"""The contract accepts good plugins and finds each way of breaking it."""

import inspect
import random

import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal, FakeRandom, grey
from torch import nn

from composer_pl.plugin import (
    ConditionEncoder,
    ConditionPlugin,
    ConditionSignals,
    MissingWeightsError,
    RepresentationSpec,
    VectorEncoder,
    WeightSpec,
)
from composer_pl.plugin.harness import DIMS, Samples, built_extractor, discs_on_gradients, loaded_by
from composer_pl.plugin.testing import PluginContract


class TestFakeGlobal(PluginContract):
    @pytest.fixture
    def plugin(self):
        return FakeGlobal(tokens=3)


class TestFakeLocal(PluginContract):
    test_import_and_construction_load_nothing_heavy = None  # seconds; TestFakeGlobal has it

    @pytest.fixture
    def plugin(self):
        return FakeLocal()


class TestFakeRandom(PluginContract):
    test_import_and_construction_load_nothing_heavy = None  # seconds; TestFakeGlobal has it

    @pytest.fixture
    def plugin(self):
        return FakeRandom()


class TestFakeCaption(PluginContract):
    test_import_and_construction_load_nothing_heavy = None  # seconds; TestFakeGlobal has it

    @pytest.fixture
    def plugin(self):
        return FakeCaption(drop_prob=0.1)


class Bare(ConditionPlugin):
    """The smallest plugin has no constructor."""

    scope = "global"
    canvas = 16

    @property
    def spec(self):
        return RepresentationSpec(shape=(3,), value_range=(-1.0, 1.0))

    def build_extractor(self):
        return lambda image: image.mean((2, 3))

    def build_encoder(self, dims):
        return VectorEncoder(3, dims)


class TestBare(PluginContract):
    test_import_and_construction_load_nothing_heavy = None

    @pytest.fixture
    def plugin(self):
        return Bare()


class LabelEncoder(ConditionEncoder):
    def __init__(self, dims):
        super().__init__()
        self.table = nn.Embedding(2, dims.time_dim)

    def encode(self, value):
        return ConditionSignals(time=self.table(value[:, 0]))


class Label(FakeGlobal):
    """A class: whether red prevails."""

    @property
    def spec(self):
        return RepresentationSpec(shape=(1,), value_range=(0, 1), dtype="int64")

    def build_extractor(self):
        return lambda image: (image[:, :1].mean((2, 3)) > image[:, 1:2].mean((2, 3))).long()

    def build_encoder(self, dims):
        return LabelEncoder(dims)


class TestLabel(PluginContract):
    test_import_and_construction_load_nothing_heavy = None

    @pytest.fixture
    def plugin(self):
        return Label()


class LabelMap(FakeLocal):
    """A class for each pixel, at half the canvas; H x W may be larger or smaller."""

    @property
    def spec(self):
        return RepresentationSpec(shape=(1, "H", "W"), value_range=(0, 1), dtype="int64")

    def build_extractor(self):
        return lambda image: (grey(image)[..., ::2, ::2] > 0).long()

    def build_encoder(self, dims):
        class Floats(type(super().build_encoder(dims))):
            def encode(self, value):
                assert value.dtype == torch.int64
                return super().encode(value.float())

        return Floats(1, dims)


class TestLabelMap(PluginContract):
    test_import_and_construction_load_nothing_heavy = None

    @pytest.fixture
    def plugin(self):
        return LabelMap()


class NoWeights(FakeLocal):
    def build_extractor(self):
        raise MissingWeightsError("no weights here")


class TestWithoutWeights(PluginContract):
    """Random values serve where extraction cannot."""

    test_import_and_construction_load_nothing_heavy = None

    @pytest.fixture
    def plugin(self):
        return NoWeights()


# -- each of these breaks one rule -----------------------------------------------------------------


class PositionalArguments(FakeLocal):
    def __init__(self, drop_prob: float = 0.5):
        self.drop_prob = drop_prob


class ForgetsAnArgument(FakeLocal):
    def __init__(self, *, size: int = 3):
        self.side = size


class TupleArgument(FakeLocal):
    def __init__(self, *, sizes: tuple[int, ...] = (1, 2)):
        self.sizes = sizes


class HoldsALambda(FakeLocal):
    def __init__(self):
        self.function = lambda: 0


class WritesInput(FakeLocal):
    def build_extractor(self):
        return lambda image: grey(image.mul_(0.5))


class WrongShape(FakeLocal):
    def build_extractor(self):
        return lambda image: image


class WrongType(FakeLocal):
    def build_extractor(self):
        return lambda image: grey(image).double()


class OutOfRange(FakeGlobal):
    def build_extractor(self):
        return lambda image: image.mean((2, 3)) + 5


class NotFinite(FakeGlobal):
    def build_extractor(self):
        return lambda image: image.mean((2, 3)) / 0


class GlobalTorch(FakeGlobal):
    def build_extractor(self):
        return lambda image: image.mean((2, 3)) * torch.rand(1)


class GlobalPython(FakeGlobal):
    def build_extractor(self):
        return lambda image: image.mean((2, 3)) * random.random()


class DependsOnTheBatch(FakeGlobal):
    def build_extractor(self):
        return lambda image: image.mean((2, 3)) + 0.1 * len(image)


class GlobalHint(FakeLocal):
    scope = "global"


class NarrowEncoder(FakeGlobal):
    def build_encoder(self, dims):
        return super().build_encoder(DIMS[0])


class Biased(ConditionEncoder):
    def __init__(self, dims):
        super().__init__()
        self.layer = nn.Linear(3, dims.time_dim)

    def forward(self, value, keep):
        return ConditionSignals(time=self.layer(value * keep[:, None]))


class LeakyEncoder(FakeGlobal):
    def build_encoder(self, dims):
        return Biased(dims)


class Unused(ConditionEncoder):
    def __init__(self, dims):
        super().__init__()
        self.layer, self.idle = nn.Linear(3, dims.time_dim), nn.Linear(3, 3)

    def encode(self, value):
        return ConditionSignals(time=self.layer(value))


class UnusedParameter(FakeGlobal):
    def build_encoder(self, dims):
        return Unused(dims)


class OddDistance(FakeGlobal):
    def distance(self, value, other):
        return super().distance(value, other) + 0.1


class BlindDistance(FakeGlobal):
    def distance(self, value, other):
        return torch.zeros(len(value))


class ObeysAnother(FakeGlobal):
    def adherence(self, image, value, *, extractor):
        return -super().adherence(image, value, extractor=extractor)


class DrawsAndDoesNotScore(FakeRandom):
    adherence = ConditionPlugin.adherence


class Normed(VectorEncoder):
    def __init__(self, dims):
        super().__init__(3, dims)
        self.norm = nn.BatchNorm1d(3)

    def encode(self, value):
        return super().encode(self.norm(value))


class BatchNorm(FakeGlobal):
    def build_encoder(self, dims):
        return Normed(dims)


class Dividing(VectorEncoder):
    def encode(self, value):
        return super().encode(value / value.norm(dim=1, keepdim=True))


class DividesByTheNorm(FakeGlobal):
    """Fine on a CPU, where dropped rows are left out; NaN gradients on a GPU."""

    def build_encoder(self, dims):
        return Dividing(3, dims)


class PlainModule(FakeGlobal):
    def build_encoder(self, dims):
        return nn.Linear(3, dims.time_dim)


class LoudDigest(FakeLocal):
    weights = (
        WeightSpec(name="a", url="", sha256="A" * 64, size=1, license="MIT", origin="A page"),
    )


class BadPicture(FakeLocal):
    def visualize(self, value):
        return super().visualize(value) * 2


class BadReader(FakeLocal):
    def read(self, source):
        raise RuntimeError("a decoder's own error")


@pytest.mark.parametrize(
    ("broken", "check", "found"),
    [
        (PositionalArguments, "constructor_is_keyword_only_and_typed", "keyword-only"),
        (ForgetsAnArgument, "config_is_plain_and_rebuilds_an_equal_plugin", "set self.size"),
        (TupleArgument, "config_is_plain_and_rebuilds_an_equal_plugin", "expected"),
        (HoldsALambda, "plugin_is_picklable", "pickle"),
        (WritesInput, "extracted_values_match_the_spec", "wrote into its input"),
        (WrongShape, "extracted_values_match_the_spec", "shape"),
        (WrongType, "extracted_values_match_the_spec", "dtype"),
        (OutOfRange, "extracted_values_match_the_spec", "range"),
        (NotFinite, "extracted_values_match_the_spec", "not finite"),
        (GlobalTorch, "extraction_repeats_and_leaves_the_global_generators_alone", "torch's"),
        (GlobalPython, "extraction_repeats_and_leaves_the_global_generators_alone", "other values"),
        (DependsOnTheBatch, "a_sample_does_not_depend_on_its_neighbours", "alone"),
        (GlobalHint, "encoder_fills_only_the_signals_of_its_scope", "must not fill `hint`"),
        (NarrowEncoder, "encoder_fills_only_the_signals_of_its_scope", "not"),
        (LeakyEncoder, "dropped_is_exactly_nothing", "leaves something in `time`"),
        (LeakyEncoder, "mixed_masks_do_not_leak", "leaves something in `time`"),
        (UnusedParameter, "gradients_reach_every_encoder_parameter", "no gradient reaches idle"),
        (OddDistance, "distance_is_zero_for_equal_and_positive_for_different", "to itself"),
        (BlindDistance, "distance_is_zero_for_equal_and_positive_for_different", "different"),
        (ObeysAnother, "a_picture_obeys_its_own_value_best", "another picture's"),
        (DrawsAndDoesNotScore, "a_picture_obeys_its_own_value_best", "image and keys.*override"),
        (BatchNorm, "encoder_treats_each_sample_alone", "norm is a batch norm"),
        (DividesByTheNorm, "dropped_rows_of_zeros_do_no_harm", "row of zeros"),
        (PlainModule, "dropped_is_exactly_nothing", "build_encoder gave Linear"),
        (LoudDigest, "declared_attributes_are_legal", "64 digits"),
        (BadPicture, "values_can_be_shown", r"\[0, 1\]"),
        (BadReader, "reading_nonsense_is_a_named_error", "decoder's own"),
        (GlobalHint, "spec_is_legal", "no H, W"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_broken_rule_is_found(broken, check, found, tmp_path):
    plugin = broken()
    images = discs_on_gradients(plugin.canvas or 64)
    samples = Samples(plugin, images, ["a", "b", "c"], built_extractor(type(plugin), plugin))
    known = {
        "plugin": plugin,
        "extracted": samples,
        "samples": samples,
        "dims": DIMS[1],
        "tmp_path": tmp_path,
    }
    method = getattr(PluginContract(), f"test_{check}")
    names = inspect.signature(method).parameters
    with pytest.raises(Exception, match=found):
        method(**{name: known[name] for name in names})


@pytest.mark.slow  # two processes
def test_heavy_imports_are_found():
    assert loaded_by("import scipy") == ["scipy"]
    assert loaded_by("import composer_pl.plugin") == []
