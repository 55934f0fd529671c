"""Checks of the frozen side: what the extractor answers, and what it leaves alone."""
# ruff: noqa: D102 - the names of the checks say the fact

import random

import numpy as np
import torch

from composer_pl.plugin.harness import BATCH, DIMS, GRID, SIDE, expected_shape


class ExtractionChecks:
    """Values match their spec, repeat, and depend on their own sample alone."""

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


def _numpy_state() -> str:
    name, words, *position = np.random.get_state(legacy=True)
    return f"{name} {np.asarray(words).tolist()} {position}"


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
