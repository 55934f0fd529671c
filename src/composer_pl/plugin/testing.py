"""The contract as tests: what a plugin's test class inherits, and `plugins check` runs.

A plugin's test file needs one fixture::

    class TestDepth(PluginContract):
        @pytest.fixture
        def plugin(self):
            return Depth()

Checks that need weights or a library that is absent are skipped, with that reason. The file is a
little over 300 lines because all checks of the one contract stand together.
"""
# ruff: noqa: D102 - the names of the checks say the fact

import inspect
import json
import os
import pickle
import random
from functools import partial

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from composer_pl.errors import ComposerPLError
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.plugin.harness import (
    BATCH,
    DIMS,
    GRID,
    SIDE,
    Samples,
    built_extractor,
    discs_on_gradients,
    expected_shape,
    loaded_by,
    present,
)
from composer_pl.plugin.weights import WeightSpec
from composer_pl.types import BackboneDims, ConditionSignals


class PluginContract:
    """Inherit, and give the fixture `plugin`; the others may be overridden.

    Fixtures:
        plugin: The configured plugin under test.
        images: `(3, 3, side, side)` in [-1, 1] at the plugin's canvas, three different pictures.
            The default draws discs on gradients; give photos where those show nothing.
        captions: Three different texts.
    """

    @pytest.fixture
    def plugin(self) -> ConditionPlugin:
        """The plugin under test."""
        raise NotImplementedError("A subclass of PluginContract must give the fixture `plugin`.")

    @pytest.fixture
    def images(self, plugin: ConditionPlugin) -> Float[Tensor, "b 3 s s"]:
        """Three different pictures."""
        return discs_on_gradients(plugin.canvas or SIDE)

    @pytest.fixture
    def captions(self) -> list[str]:
        """Three texts."""
        return ["a red disc", "two green fields under a wide sky", "blue"]

    @pytest.fixture
    def extracted(self, plugin, images, captions, request, monkeypatch) -> Samples:
        """Samples with an extractor; skips where weights or libraries are absent."""
        monkeypatch.delenv("COMPOSER_PL_ALLOW_DOWNLOADS", raising=False)
        return Samples(plugin, images, captions, built_extractor(request.cls, plugin))

    @pytest.fixture
    def samples(self, plugin, images, captions, request) -> Samples:
        """Samples with an extractor where that can be, else with random values."""
        try:
            return request.getfixturevalue("extracted")
        except pytest.skip.Exception:
            return Samples(plugin, images, captions, None)

    # -- declarations ----------------------------------------------------------------------------

    def test_declared_attributes_are_legal(self, plugin):
        assert plugin.scope in ("global", "local"), f"scope: {plugin.scope!r}"
        canvas = plugin.canvas
        assert canvas is None or (isinstance(canvas, int) and canvas > 0), f"canvas: {canvas!r}"
        assert plugin.resample in ("area", "bicubic", "nearest"), f"resample: {plugin.resample!r}"
        legal = (("image",), ("caption",), ("image", "caption"))
        assert plugin.inputs in legal, f"inputs: {plugin.inputs!r}, expected one of {legal}"
        assert isinstance(plugin.randomized, bool), f"randomized: {plugin.randomized!r}"
        assert 0 <= plugin.drop_prob <= 1, f"drop_prob: {plugin.drop_prob!r}"
        for spec in plugin.weights:
            assert isinstance(spec, WeightSpec), f"weights hold {spec!r}, expected a WeightSpec"
            assert spec.name == os.path.basename(spec.name), f"{spec.name!r} is no file name"
            assert spec.license, f"{spec.name} states no licence"
            assert spec.origin, f"{spec.name} states no origin"
            assert not spec.sha256 or len(spec.sha256) == 64, f"{spec.name}: sha256 has 64 digits"
            if spec.converted:
                own, base = type(plugin).convert_weights, ConditionPlugin.convert_weights
                inherited = own.__qualname__ == base.__qualname__
                assert not inherited, f"{spec.name}: `converted` needs convert_weights"
        for spec in plugin.weights_in_use():
            assert spec in plugin.weights, f"{spec.name} is in use and not declared in `weights`"
        facts = plugin.agreement()
        assert all(isinstance(item, str) for pair in facts.items() for item in pair), facts

    def test_spec_is_legal(self, plugin):
        spec = plugin.spec
        sizes = [axis for axis in spec.shape if isinstance(axis, int)]
        assert all(size > 0 for size in sizes), f"shape: {spec.shape}"
        assert isinstance(getattr(torch, spec.dtype, None), torch.dtype), f"dtype: {spec.dtype!r}"
        if plugin.scope == "local":
            assert spec.shape[1:] == ("H", "W"), f"a local shape is (c, H, W), found {spec.shape}"
        else:
            assert len(sizes) == len(spec.shape), f"a global shape has no H, W: {spec.shape}"
        if spec.value_range is not None:
            assert spec.value_range[0] < spec.value_range[1], f"value_range: {spec.value_range}"

    # -- construction ----------------------------------------------------------------------------

    def test_constructor_is_keyword_only_and_typed(self, plugin):
        for item in list(inspect.signature(type(plugin).__init__).parameters.values())[1:]:
            assert item.kind is item.KEYWORD_ONLY, f"{item.name} must be keyword-only"
            assert item.annotation is not item.empty, f"{item.name} needs a type annotation"

    def test_config_is_plain_and_rebuilds_an_equal_plugin(self, plugin):
        text = json.dumps(plugin.config())  # a TypeError here names what is not plain data
        rebuilt = type(plugin)(**json.loads(text))
        assert rebuilt == plugin, f"from {text}: expected {plugin!r}, found {rebuilt!r}"

    def test_plugin_is_picklable(self, plugin):
        assert pickle.loads(pickle.dumps(plugin)) == plugin

    def test_import_and_construction_load_nothing_heavy(self, plugin):
        cls = type(plugin)
        heavy = loaded_by(
            f"import {cls.__module__.partition('.')[0]}, json; "
            f"from {cls.__module__} import {cls.__name__}; "
            f"{cls.__name__}(**json.loads({json.dumps(plugin.config())!r}))"
        )
        assert not heavy, f"importing and constructing the plugin loads {', '.join(heavy)}"

    # -- extraction ------------------------------------------------------------------------------

    def test_extracted_values_match_the_spec(self, plugin, extracted):
        before = extracted.images.clone()
        for size in (GRID * dims.hint_scale for dims in DIMS):
            value = extracted.extract(size)
            expected = (BATCH, *expected_shape(plugin, size))
            assert tuple(value.shape) == expected, f"shape {tuple(value.shape)}, not {expected}"
            assert str(value.dtype) == f"torch.{plugin.spec.dtype}", f"dtype {value.dtype}"
            assert not value.requires_grad, "the extractor is frozen; its values carry gradients"
            if value.is_floating_point():
                assert value.isfinite().all(), "the values are not finite"
            if plugin.spec.value_range is not None:
                low, high = plugin.spec.value_range
                found = (float(value.min()), float(value.max()))
                assert low <= found[0], f"range {found}, expected [{low}, {high}]"
                assert found[1] <= high, f"range {found}, expected [{low}, {high}]"
        assert torch.equal(extracted.images, before), "the extractor wrote into its input"

    def test_extraction_repeats_and_leaves_the_global_generators_alone(self, extracted):
        extracted.extract(SIDE)  # a first call may set libraries up
        _seed_everything(7)
        states = torch.get_rng_state(), _numpy_state()
        first = extracted.extract(SIDE)
        assert torch.equal(states[0], torch.get_rng_state()), "torch's generator was used"
        assert states[1] == _numpy_state(), "numpy's generator was used"
        # Python's state is not compared: type checkers of shapes, used in tests, draw from it.
        _seed_everything(8)
        assert torch.equal(first, extracted.extract(SIDE)), "a second extraction gives other values"

    def test_a_sample_does_not_depend_on_its_neighbours(self, plugin, extracted):
        together = extracted.extract(SIDE)
        alone = [extracted.extract(SIDE, slice(row, row + 1)) for row in range(BATCH)]
        low, high = plugin.spec.value_range or (0.0, 1.0)
        apart = float((together.float() - torch.cat(alone).float()).abs().mean()) / (high - low)
        assert apart < 1e-2, f"extracted alone, values differ by {apart:.3g} of the range"

    # -- encoding --------------------------------------------------------------------------------

    @pytest.mark.parametrize("dims", DIMS, ids=("small", "large"))
    def test_encoder_fills_only_the_signals_of_its_scope(self, plugin, samples, dims):
        signals = _encode(samples, dims, torch.ones(BATCH, dtype=torch.bool))
        if plugin.scope == "local":
            assert signals.time is None, "a local encoder must not fill `time`"
            assert signals.context is None, "a local encoder must not fill `context`"
            assert signals.hint is not None, "a local encoder must fill `hint`"
            expected = (BATCH, dims.hint_channels, GRID, GRID)
            assert tuple(signals.hint.shape) == expected, f"{signals.hint.shape} not {expected}"
            return
        assert signals.hint is None, "a global encoder must not fill `hint`"
        filled = signals.time is not None or signals.context is not None
        assert filled, "a global encoder must fill `time` or `context`"
        if signals.time is not None:
            expected = (BATCH, dims.time_dim)
            assert tuple(signals.time.shape) == expected, f"{signals.time.shape} not {expected}"
        if signals.context is not None:
            assert signals.context_mask is not None, "`context` goes with `context_mask`"
            expected = (*signals.context_mask.shape, dims.context_dim)
            assert tuple(signals.context.shape) == expected, (
                f"{signals.context.shape} not {expected}"
            )
            assert len(signals.context) == BATCH, f"{len(signals.context)} rows, not {BATCH}"

    def test_dropped_is_exactly_nothing(self, plugin, samples):
        signals = _encode(samples, DIMS[0], torch.zeros(BATCH, dtype=torch.bool))
        for name, signal in present(signals).items():
            assert not signal.any(), f"a dropped condition leaves something in `{name}`"

    def test_mixed_masks_do_not_leak(self, plugin, samples):
        keep = torch.tensor([True, False, True])
        torch.manual_seed(0)
        encoder = _encoder(plugin, DIMS[0])
        value = samples.values(SIDE)
        other = value.clone()
        other[1] = value[0]  # what a dropped row holds must not matter
        with torch.no_grad():
            every = present(_forward(samples, encoder, value, torch.ones(BATCH, dtype=torch.bool)))
            mixed = present(_forward(samples, encoder, value, keep))
            changed = present(_forward(samples, encoder, other, keep))
        for name, signal in mixed.items():
            assert not signal[1].any(), f"the dropped sample leaves something in `{name}`"
            rows = signal[keep].float(), every[name][keep].float()
            assert torch.allclose(*rows, atol=1e-5), f"`{name}` of kept samples changes"
            assert torch.allclose(signal.float(), changed[name].float(), atol=1e-5), (
                f"a dropped value is seen in `{name}`"
            )

    def test_gradients_reach_every_encoder_parameter(self, plugin, samples):
        encoder = _encoder(plugin, DIMS[0])
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():  # so that a layer which starts at zero hides nobody behind it
            for parameter in encoder.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        value = samples.values(SIDE)
        signals = _forward(samples, encoder, value, torch.ones(BATCH, dtype=torch.bool))
        torch.stack(
            [
                (signal * torch.randn(signal.shape, generator=generator)).sum()
                for signal in present(signals).values()
                if signal.is_floating_point()
            ]
        ).sum().backward()
        for name, parameter in encoder.named_parameters():
            gradient = parameter.grad
            assert gradient is not None, f"no gradient reaches {name}"
            assert gradient.isfinite().all(), f"the gradient of {name} is not finite"
            assert gradient.any(), f"the gradient of {name} is zero"

    # -- comparing, reading, showing -------------------------------------------------------------

    def test_distance_is_zero_for_equal_and_positive_for_different(self, plugin, samples):
        value = samples.values(SIDE)
        same = plugin.distance(value, value)
        assert tuple(same.shape) == (BATCH,), f"distance: one number a sample, not {same.shape}"
        assert torch.allclose(same, torch.zeros_like(same), atol=1e-5), f"to itself: {same}"
        other = value.roll(1, 0)
        differ = (value != other).flatten(1).any(1)
        if not differ.any():
            pytest.skip("the test pictures give equal values; override the fixture `images`")
        apart = plugin.distance(value, other)[differ]
        assert (apart > 0).all(), f"between different values: {apart}"

    def test_a_picture_obeys_its_own_value_best(self, plugin, extracted):
        if "image" not in plugin.inputs:
            pytest.skip("values do not come from pictures")
        value, images = extracted.extract(SIDE), extracted.canvas(SIDE)
        extractor = partial(extracted.at_size, size=SIDE)
        with torch.no_grad():
            scores = torch.stack(
                [
                    plugin.adherence(images, value.roll(shift, 0), extractor=extractor)
                    for shift in range(BATCH)
                ]
            )
        assert tuple(scores.shape) == (BATCH, BATCH), "adherence: one number a sample"
        assert scores.isfinite().all(), f"adherence is not finite: {scores}"
        assert (scores[0] <= 1 + 1e-4).all(), f"1 is perfect, found {scores[0]}"
        assert (scores[0] >= scores - 1e-5).all(), f"another picture's value is obeyed: {scores}"

    def test_reading_nonsense_is_a_named_error(self, plugin, tmp_path):
        if plugin.inputs == ("caption",):
            pytest.skip("every text is legal")
        nonsense = tmp_path / "nonsense.png"
        nonsense.write_bytes(b"no picture at all")
        with pytest.raises(ComposerPLError) as caught:
            plugin.read(nonsense)
        assert str(caught.value).strip(), "the error says nothing"

    def test_values_can_be_shown(self, plugin, samples):
        value = samples.values(SIDE)
        with samples.legal():
            shown = plugin.visualize(value)
        assert len(shown) == BATCH, f"{len(shown)} pictures for {BATCH} samples"
        if isinstance(shown, list):
            assert all(isinstance(text, str) for text in shown), "a list holds texts"
            return
        assert shown.ndim == 4, f"pictures are (b, 3, h, w), found {tuple(shown.shape)}"
        assert shown.shape[1] == 3, f"pictures are (b, 3, h, w), found {tuple(shown.shape)}"
        assert shown.is_floating_point(), f"pictures are floating point, found {shown.dtype}"
        assert shown.min() >= 0, f"pictures are in [0, 1], found {float(shown.min())}"
        assert shown.max() <= 1, f"pictures are in [0, 1], found {float(shown.max())}"


def _numpy_state() -> str:
    name, words, *position = np.random.get_state(legacy=True)
    return f"{name} {np.asarray(words).tolist()} {position}"


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _encoder(plugin: ConditionPlugin, dims: BackboneDims) -> nn.Module:
    encoder = plugin.build_encoder(dims)
    assert isinstance(encoder, nn.Module), f"build_encoder gave {encoder!r}"
    return encoder.eval()


def _forward(
    samples: Samples, encoder: nn.Module, value: Tensor, keep: Bool[Tensor, " b"]
) -> ConditionSignals:
    with samples.legal():
        return encoder(value, keep)
    raise AssertionError("unreachable")


def _encode(samples: Samples, dims: BackboneDims, keep: Bool[Tensor, " b"]) -> ConditionSignals:
    with torch.no_grad():
        encoder = _encoder(samples.plugin, dims)
        return _forward(samples, encoder, samples.values(GRID * dims.hint_scale), keep)
