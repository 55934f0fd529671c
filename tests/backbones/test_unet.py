"""Facts about the whole U-Net, on tiny sizes."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.errors import ConfigError
from composer_pl.types import ConditionSignals

TINY = UNetConfig(
    channels=16,
    channel_mult=(1, 2, 3, 4),
    num_res_blocks=1,
    head_dim=16,
    context_dim=12,
    hint_channels=4,
    resolution=16,
)


def awake(config: UNetConfig = TINY, seed: int = 0) -> UNet:
    """A network in evaluation mode whose zero-initialised layers are woken."""
    torch.manual_seed(seed)
    model = UNet(config).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def signals(batch: int, height: int, width: int, config: UNetConfig = TINY, tokens: int = 5):
    return ConditionSignals(
        time=torch.randn(batch, 4 * config.channels),
        context=torch.randn(batch, tokens, config.context_dim),
        context_mask=torch.rand(batch, tokens) < 0.6,
        hint=torch.randn(batch, config.hint_channels, height, width),
    )


def pick(given: ConditionSignals, rows: slice) -> ConditionSignals:
    names = ("time", "context", "context_mask", "hint")
    return ConditionSignals(**{name: getattr(given, name)[rows] for name in names})


def test_output_is_exactly_zero_at_the_start():
    x_t, t = torch.randn(2, 3, 16, 16), torch.tensor([0, 999])
    assert not UNet(TINY)(x_t, t, signals(2, 16, 16)).any()


def test_a_sample_does_not_depend_on_the_others():
    model, x_t, t, given = awake(), torch.randn(4, 3, 16, 16), torch.rand(4), signals(4, 16, 16)
    together = model(x_t, t, given)
    for i in range(4):
        rows = slice(i, i + 1)
        alone = model(x_t[rows], t[rows], pick(given, rows))
        assert torch.allclose(together[rows], alone, atol=1e-5)


def test_no_gradient_flows_between_samples():
    model, given = awake(), signals(3, 16, 16)
    x_t = torch.randn(3, 3, 16, 16, requires_grad=True)
    model(x_t, torch.arange(3), given)[1].sum().backward()
    assert x_t.grad is not None
    assert not x_t.grad[0].any()
    assert x_t.grad[1].any()
    assert not x_t.grad[2].any()


def test_a_masked_token_has_exactly_no_effect():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    assert not given.context_mask.all()
    other = torch.where(given.context_mask[..., None], given.context, 1e3)
    changed = replace(given, context=other)
    assert torch.equal(model(x_t, t, given), model(x_t, t, changed))


def test_masked_tokens_equal_tokens_that_are_not_there():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    mask = torch.tensor([True, False, True, False, False]).expand(2, 5)
    masked = model(x_t, t, replace(given, context_mask=mask))
    shorter = model(x_t, t, replace(given, context=given.context[:, [0, 2]], context_mask=None))
    assert torch.allclose(masked, shorter, atol=1e-5)
    nothing = model(x_t, t, replace(given, context_mask=torch.zeros_like(mask)))
    absent = model(x_t, t, replace(given, context=None, context_mask=None))
    assert torch.allclose(nothing, absent, atol=1e-5)


def test_no_hint_equals_a_zero_hint():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    zero = replace(given, hint=torch.zeros_like(given.hint))
    assert torch.equal(model(x_t, t, replace(given, hint=None)), model(x_t, t, zero))


def test_no_time_signal_equals_a_zero_one():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    zero = replace(given, time=torch.zeros_like(given.time))
    assert torch.equal(model(x_t, t, replace(given, time=None)), model(x_t, t, zero))


@pytest.mark.parametrize("place", ["time", "context", "hint", "t", "x_t"])
def test_everything_that_enters_changes_the_output(place):
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.zeros(2), signals(2, 16, 16)
    given = replace(given, context_mask=torch.ones_like(given.context_mask))
    before = model(x_t, t, given)
    if place == "t":
        after = model(x_t, t + 100, given)
    elif place == "x_t":
        after = model(-x_t, t, given)
    else:
        after = model(x_t, t, replace(given, **{place: -getattr(given, place)}))
    assert (before - after).abs().max() > 1e-4


@pytest.mark.parametrize(("height", "width", "patch"), [(40, 64, 1), (8, 24, 1), (32, 16, 2)])
def test_sides_need_not_be_equal(height, width, patch):
    config = replace(TINY, patch_size=patch, out_channels=3)
    model = awake(config)
    x_t = torch.randn(1, 3, height, width)
    assert model(x_t, torch.zeros(1), signals(1, height, width)).shape == x_t.shape


def test_a_patch_of_four_folds_and_unfolds_in_place():
    config = replace(TINY, channel_mult=(1, 2), attention_levels=(1,), patch_size=4)
    x_t = torch.randn(1, 3, 24, 16)
    out = awake(config)(x_t, torch.zeros(1), signals(1, 24, 16, config))
    assert out.shape == (1, 6, 24, 16)


def test_patches_are_squares_of_neighbouring_pixels():
    model = awake(replace(TINY, patch_size=2))
    x_t, t = torch.randn(1, 3, 16, 16), torch.zeros(1)
    given = replace(signals(1, 16, 16), hint=None)
    seen = []
    model.stem.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(x_t, t, given)
    folded = seen[0]
    assert folded.shape == (1, 28, 8, 8)
    corner = torch.stack([folded[0, 2 * i + j, 3, 5] for i in (0, 1) for j in (0, 1)])
    assert torch.equal(corner, x_t[0, 0, 6:8, 10:12].flatten())


@pytest.mark.parametrize("channels", [32, 48])
def test_widths_that_32_does_not_divide_work(channels):
    config = replace(TINY, channels=channels)
    out = awake(config)(torch.randn(1, 3, 8, 8), torch.zeros(1), signals(1, 8, 8, config))
    assert out.isfinite().all()


def test_a_network_without_attention_context_and_hint_works():
    config = replace(TINY, attention_levels=(), context_dim=0, hint_channels=0)
    model = awake(config)
    assert not [name for name, _ in model.named_modules() if name.endswith("attention")]
    out = model(torch.randn(1, 3, 8, 8), torch.zeros(1), ConditionSignals())
    assert out.shape == (1, 6, 8, 8)


def test_dims_describe_what_encoders_must_produce():
    dims = UNet(TINY).dims
    assert (dims.time_dim, dims.context_dim, dims.hint_channels, dims.hint_scale) == (64, 12, 4, 4)


def test_channels_last_changes_nothing():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    plain = model(x_t, t, given)
    model = model.to(memory_format=torch.channels_last)
    last = model(x_t.contiguous(memory_format=torch.channels_last), t, given)
    assert torch.allclose(plain, last, atol=1e-4)  # other kernels round differently


def test_autocast_stays_near_float32():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    exact = model(x_t, t, given)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(x_t, t, given)
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).square().mean() < 0.05**2 * exact.square().mean()


def test_a_network_in_bf16_takes_float32_inputs():
    model, x_t, t, given = awake(), torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)
    exact = model(x_t, t, given)
    rough = model.bfloat16()(x_t, t, given)
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).square().mean() < 0.05**2 * exact.square().mean()


@pytest.mark.slow
def test_the_network_is_one_graph_without_breaks():
    """In a fresh process, as the shape checks of the tests are not meant to be compiled."""
    program = """
import torch
from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.types import ConditionSignals
config = UNetConfig(channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_levels=(1,),
                    head_dim=16, context_dim=12, hint_channels=4, resolution=16)
model = UNet(config).eval()
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.1)
signals = ConditionSignals(
    time=torch.randn(2, 64), context=torch.randn(2, 3, 12),
    context_mask=torch.tensor([[1, 0, 1], [0, 0, 0]]).bool(), hint=torch.randn(2, 4, 16, 16))
for arguments in ((torch.randn(2, 3, 16, 16), torch.tensor([3, 900]), signals),
                  (torch.randn(2, 3, 16, 16), torch.tensor([0.5, 9.0]), ConditionSignals())):
    whole = torch.compile(model, backend="aot_eager", fullgraph=True)(*arguments)
    assert torch.allclose(whole, model(*arguments), atol=1e-4)
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_every_parameter_receives_a_gradient():
    model = awake().train()
    model(torch.randn(2, 3, 16, 16), torch.rand(2), signals(2, 16, 16)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"channels": 15}, "channels"),
        ({"channel_mult": ()}, "channel_mult"),
        ({"num_res_blocks": 0}, "num_res_blocks"),
        ({"attention_levels": (4,)}, "attention_levels"),
        ({"head_dim": 24}, "head_dim"),
        ({"hint_scale": 3}, "hint_scale"),
        ({"dropout": 1.0}, "dropout"),
        ({"patch_size": 3}, "patch_size"),
        ({"resolution": 20}, "resolution"),
    ],
)
def test_impossible_sizes_are_refused_by_name(change, named):
    with pytest.raises(ConfigError, match=rf"{named} must be .* found"):
        replace(TINY, **change)


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="multiples of 8, found 12 x 16"):
        UNet(TINY)(torch.randn(1, 3, 12, 16), torch.zeros(1), ConditionSignals())
