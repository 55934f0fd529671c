"""Facts about plans, on a small stand-in for the whole model."""

import json
from functools import cache

import pytest
import torch
from torch import nn

from composer_pl.backbones.unet import UNet, UNetConfig
from composer_pl.errors import ConfigError
from composer_pl.models.plan import DropoutEvents, Plan, make_plan
from composer_pl.plugin.encoders import HintEncoder, VectorEncoder
from composer_pl.types import RepresentationSpec

TINY = UNetConfig(
    channels=16,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_levels=(1,),
    head_dim=16,
    context_dim=12,
    hint_channels=4,
    resolution=16,
)
SPECS = {
    "color": RepresentationSpec(shape=(156,)),
    "sketch": RepresentationSpec(shape=(1, "H", "W"), value_range=(0.0, 1.0)),
}
EVENTS = DropoutEvents(keep_rates={"color": 0.5, "sketch": 0.34}, p_drop_all=0.1, p_keep_all=0.1)


class StandIn(nn.Module):
    def __init__(self, config: UNetConfig):
        super().__init__()
        self.backbone = UNet(config)
        self.conditioner = nn.Module()
        dims = self.backbone.dims
        self.conditioner.encoders = nn.ModuleDict(
            {"color": VectorEncoder(156, dims), "sketch": HintEncoder(1, dims)}
        )
        self.conditioner.presence = nn.Parameter(torch.zeros(2, dims.time_dim))


@cache
def plan(config: UNetConfig = TINY, **changes) -> Plan:
    return make_plan(lambda: StandIn(config), specs=SPECS, dropout=EVENTS, **changes)


def test_nothing_is_allocated():
    devices = []

    def build():
        model = StandIn(TINY)
        devices.extend(p.device.type for p in model.parameters())
        return model

    make_plan(build, specs=SPECS, dropout=EVENTS)
    assert set(devices) == {"meta"}


def test_parameters_are_split_by_part_and_add_up():
    found, real = plan(), StandIn(TINY)
    assert found.total_parameters == sum(p.numel() for p in real.parameters())
    assert list(found.parameters) == ["backbone", "color", "sketch", "presence and fusion"]
    assert found.parameters["backbone"] == sum(p.numel() for p in real.backbone.parameters())
    assert found.parameters["presence and fusion"] == 2 * 64


def test_memory_is_20_bytes_a_parameter_and_2_for_the_bf16_copy():
    found = plan()
    state = found.total_memory_bytes - found.memory_bytes["activations"]
    assert state == 22 * found.total_parameters
    plain = plan(ema=False, bf16=False)
    state = plain.total_memory_bytes - plain.memory_bytes["activations"]
    assert state == 16 * plain.total_parameters


def test_a_train_step_is_three_forward_passes_of_the_batch():
    one, eight = plan(), plan(batch_size=8)
    forward = sum(one.flops_forward.values())
    assert one.flops_train_step == 3 * forward
    assert eight.flops_train_step == 24 * forward
    assert eight.images_per_second == pytest.approx(one.images_per_second)
    assert one.images_per_second == pytest.approx(395e12 / (3 * forward))


def test_flops_of_encoders_equal_their_closed_form():
    found = plan()
    time_dim, tokens = 4 * TINY.channels, 4
    color = 156 * time_dim * 2 + time_dim * (time_dim + tokens * TINY.context_dim)
    sketch = (64 * 64 * 1 * 16 + 32 * 32 * 16 * 16 + 16 * 16 * 16 * 4) * 9
    assert found.flops_forward["color"] == 2 * color
    assert found.flops_forward["sketch"] == 2 * sketch
    assert found.context_tokens == tokens


def test_activations_grow_with_the_area():
    small = plan().activation_bytes_per_image
    large = plan(UNetConfig(**{**vars(TINY), "resolution": 32})).activation_bytes_per_image
    assert 3.5 < large / small < 4.5


def test_activations_are_what_a_real_step_keeps():
    """In float32 the count equals that of a real network on the CPU."""
    config = UNetConfig(**{**vars(TINY), "dropout": 0.0})

    def kept(samples: int) -> int:
        model = StandIn(config)
        storages = {}

        def pack(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            on = torch.ones(samples, dtype=torch.bool)
            color = model.conditioner.encoders["color"](torch.zeros(samples, 156), on)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            sketch = model.conditioner.encoders["sketch"](torch.zeros(samples, 1, 64, 64), on)
        from composer_pl.types import ConditionSignals

        given = ConditionSignals(
            time=color.time.detach(),
            context=color.context.detach(),
            context_mask=color.context_mask,
            hint=sketch.hint.detach(),
        )
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = model.backbone(torch.zeros(samples, 3, 16, 16), torch.zeros(samples), given)
        total = sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
        del out
        return total

    found = plan(config, bf16=False).activation_bytes_per_image
    assert found == pytest.approx(kept(3) - kept(2), rel=0.02)


def test_bf16_keeps_fewer_activations():
    found, full = plan(), plan(bf16=False)
    assert found.activation_bytes_per_image < full.activation_bytes_per_image
    assert "bf16" in found.activation_method
    assert "fp32" in full.activation_method


def test_a_model_without_conditions_can_be_planned():
    class Bare(StandIn):
        def __init__(self, config):
            super().__init__(config)
            self.conditioner.encoders = nn.ModuleDict()

    none = DropoutEvents(keep_rates={}, p_drop_all=0.0, p_keep_all=0.0)
    found = make_plan(lambda: Bare(TINY), specs={}, dropout=none)
    assert found.context_tokens == 0
    assert list(found.flops_forward) == ["backbone"]


def test_a_plan_is_plain_data_with_totals():
    found = plan(batch_size=4, tflops=100.0)
    data = json.loads(json.dumps(found.to_dict()))
    assert data["total_parameters"] == found.total_parameters
    assert data["dropout"]["keep_rates"] == {"color": 0.5, "sketch": 0.34}
    assert data["images_per_second"] == found.images_per_second


def test_the_table_states_its_assumptions():
    text = plan(batch_size=4, tflops=123.0).table()
    assert "assuming a sustained 123 TFLOP/s" in text
    assert "tensors that autograd keeps" in text
    assert "all dropped together 0.10" in text
    assert "0.340" in text


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"tflops": 0.0}])
def test_impossible_assumptions_are_refused(change):
    with pytest.raises(ConfigError, match="must be positive"):
        plan(**change)


def test_a_condition_without_spec_is_named():
    with pytest.raises(ConfigError, match="found none for sketch"):
        make_plan(lambda: StandIn(TINY), specs={"color": SPECS["color"]}, dropout=EVENTS)
