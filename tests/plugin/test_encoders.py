"""Stock encoders, and dropping: the same on a CPU, which leaves rows out, as elsewhere."""

import pytest
import torch

from composer_pl.errors import ConfigError
from composer_pl.plugin import (
    BackboneDims,
    ConditionEncoder,
    ConditionSignals,
    HintEncoder,
    VectorEncoder,
)
from composer_pl.plugin.harness import present

KEEP = torch.tensor([True, False, False, True])


class MaskedWords(ConditionEncoder):
    """Values are token masks; every token is ones, also where the mask says absent."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def encode(self, value):
        ones = torch.ones(*value.shape, self.width)
        return ConditionSignals(context=ones, context_mask=value > 0)


@pytest.mark.parametrize("kind", ["vector", "vector without tokens", "hint", "words"])
def test_leaving_rows_out_equals_encoding_all(dims, kind):
    torch.manual_seed(0)
    encoder, value = {
        "vector": lambda: (VectorEncoder(6, dims, tokens=3), torch.randn(4, 2, 3)),
        "vector without tokens": lambda: (VectorEncoder(6, dims, tokens=0), torch.randn(4, 6)),
        "hint": lambda: (HintEncoder(2, dims), torch.randn(4, 2, 12, 20)),
        "words": lambda: (MaskedWords(dims.context_dim), (torch.randn(4, 5) > 0).float()),
    }[kind]()
    kept, every = (
        present(encoder.encode_kept(value, KEEP)),
        present(encoder.encode_all(value, KEEP)),
    )
    assert kept.keys() == every.keys()
    for name, signal in kept.items():
        torch.testing.assert_close(signal, every[name])
        assert not signal[~KEEP].any()
        assert signal[KEEP].any()


def test_a_token_that_is_masked_out_is_zeros(dims):
    value = torch.tensor([[1.0, 0.0]])
    signals = MaskedWords(dims.context_dim)(value, torch.tensor([True]))
    assert signals.context_mask.tolist() == [[True, False]]
    assert signals.context[0, 0].all()
    assert not signals.context[0, 1].any()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_hints_arrive_on_the_grid_of_x_t(scale):
    dims = BackboneDims(time_dim=8, context_dim=8, hint_channels=3, hint_scale=scale)
    signals = HintEncoder(2, dims)(torch.randn(1, 2, 5 * scale, 7 * scale), torch.tensor([True]))
    assert signals.hint.shape == (1, 3, 5, 7)


@pytest.mark.parametrize("scale", [0, -2, 3, 6])
def test_a_scale_that_is_no_power_of_two_is_refused(scale):
    dims = BackboneDims(time_dim=8, context_dim=8, hint_channels=3, hint_scale=scale)
    with pytest.raises(ConfigError, match=f"power of two, found {scale}"):
        HintEncoder(1, dims)
