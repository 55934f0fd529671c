"""Checks of what people use a plugin for: comparing, scoring, mixing, reading, showing."""
# ruff: noqa: D102 - the names of the checks say the fact

from functools import partial

import pytest
import torch

from composer_pl.errors import ComposerPLError
from composer_pl.plugin.harness import BATCH, DIMS, SIDE


class UseChecks:
    """Distances, scores, values supplied by hand and pictures of values make sense."""

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

    @pytest.mark.parametrize("straight", [False, True])
    def test_the_way_between_two_values_is_of_legal_values(self, plugin, samples, straight):
        value = samples.values(SIDE)
        other, before = value.roll(1, 0), value.clone()
        with samples.legal():
            between = [
                plugin.interpolate(value, other, share, straight=straight)
                for share in (0.0, 0.25, 0.5, 1.0)
            ]
            encoder = plugin.build_encoder(DIMS[0]).eval()
            with torch.no_grad():
                for found in between:
                    encoder.encode(found)  # where it asserts more than a range
        assert torch.equal(between[0], value), "interpolate: share 0 is not the first value"
        assert torch.equal(between[-1], other), "interpolate: share 1 is not the second value"
        assert torch.equal(value, before), "interpolate wrote into its input"
        for found in between:
            assert found.shape == value.shape, f"shape {tuple(found.shape)} between"
            assert found.dtype == value.dtype, f"dtype {found.dtype} between"
            if found.is_floating_point():
                assert found.isfinite().all(), "what lies between is not finite"
            if plugin.spec.value_range is not None:
                low, high = plugin.spec.value_range
                range_found = (float(found.min()), float(found.max()))
                assert low <= range_found[0], f"range {range_found}, expected [{low}, {high}]"
                assert range_found[1] <= high, f"range {range_found}, expected [{low}, {high}]"

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
