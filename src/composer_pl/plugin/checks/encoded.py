"""Checks of the trainable side: what the encoder fills, and that dropping leaves nothing."""
# ruff: noqa: D102 - the names of the checks say the fact

import pytest
import torch
from jaxtyping import Bool
from torch import Tensor

from composer_pl.plugin.api import ConditionPlugin
from composer_pl.plugin.encoders import ConditionEncoder
from composer_pl.plugin.harness import BATCH, DIMS, GRID, SIDE, Samples, present
from composer_pl.types import BackboneDims, ConditionSignals


class EncodingChecks:
    """Encoders fill their own signals, for each sample alone, on a CPU as elsewhere."""

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

    def test_encoder_treats_each_sample_alone(self, plugin):
        for name, module in _encoder(plugin, DIMS[0]).named_modules():
            mixes = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
            assert not mixes, f"{name} is a batch norm: in training it mixes the samples of a batch"

    def test_dropped_rows_of_zeros_do_no_harm(self, plugin, samples):
        """A CPU leaves dropped rows out; elsewhere they are encoded, as the zeros that they are."""
        keep = torch.tensor([True, False, True])
        encoder = _encoder(plugin, DIMS[0])
        value = samples.values(SIDE).clone()
        value[1] = 0
        with samples.legal():
            left_out = present(encoder.encode_kept(value, keep))
            signals = present(encoder.encode_all(value, keep))
        for name, signal in signals.items():
            assert signal.float().isfinite().all(), f"a row of zeros makes `{name}` not finite"
            assert torch.allclose(signal.float(), left_out[name].float(), atol=1e-5), (
                f"`{name}` differs between a CPU, which leaves dropped rows out, and a GPU"
            )
        torch.stack(
            [part.sum() for part in signals.values() if part.is_floating_point()]
        ).sum().backward()
        for name, parameter in encoder.named_parameters():
            gradient = parameter.grad
            finite = gradient is None or bool(gradient.isfinite().all())
            assert finite, f"a dropped row of zeros makes the gradient of {name} not finite"

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


def _encoder(plugin: ConditionPlugin, dims: BackboneDims) -> ConditionEncoder:
    encoder = plugin.build_encoder(dims)
    assert isinstance(encoder, ConditionEncoder), f"build_encoder gave {encoder!r}"
    return encoder.eval()


def _forward(
    samples: Samples, encoder: ConditionEncoder, value: Tensor, keep: Bool[Tensor, " b"]
) -> ConditionSignals:
    with samples.legal():
        return encoder(value, keep)
    raise AssertionError("unreachable")


def _encode(samples: Samples, dims: BackboneDims, keep: Bool[Tensor, " b"]) -> ConditionSignals:
    with torch.no_grad():
        encoder = _encoder(samples.plugin, dims)
        return _forward(samples, encoder, samples.values(GRID * dims.hint_scale), keep)
