"""Work and memory of networks, found by running them on devices that hold no numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from composer_pl.backbones.prior_transformer import PriorTransformer
from composer_pl.backbones.unet import UNet
from composer_pl.plugin.encoders import ConditionEncoder
from composer_pl.types import ConditionSignals, RepresentationSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """What one sample costs with all conditions present.

    Attributes:
        flops: FLOPs of the forward pass by part, the backbone first; a multiply-add counts as two.
        activation_bytes: Memory that the sample adds to a training step.
        context_tokens: Context tokens.
    """

    flops: dict[str, int]
    activation_bytes: int
    context_tokens: int


def measure(
    backbone: UNet,
    encoders: Mapping[str, ConditionEncoder],
    specs: Mapping[str, RepresentationSpec],
    *,
    bf16: bool,
    side: int | None = None,
) -> Footprint:
    """Count one sample's work and memory.

    Args:
        backbone: On the meta device.
        encoders: The conditions' encoders by name, on the meta device.
        specs: What the extractor of each condition yields.
        bf16: Whether the backbone runs under bf16 autocast; encoders are counted in float32.
        side: Side of x_t; None takes the backbone's resolution.
    """
    flops: dict[str, int] = {}
    tokens, kept = 0, 0
    for name, encoder in encoders.items():
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            signals = _encode(encoder, specs[name], backbone, samples=1)
        flops[name] = counter.get_total_flops()
        tokens += 0 if signals.context is None else signals.context.shape[1]
        kept += _activation_growth(
            lambda samples, e=encoder, s=specs[name]: _encode(e, s, backbone, samples), "meta"
        )
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        _run(backbone, tokens, samples=1, side=side)
    flops = {"backbone": counter.get_total_flops(), **flops}

    # A fake CPU, because there attention runs as the fused kernel, unlike on the meta device.
    with FakeTensorMode():
        twin = UNet(backbone.config)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False)
        with autocast, _Float32Norms():
            kept += _activation_growth(lambda samples: _run(twin, tokens, samples, side), "cpu")
    return Footprint(flops=flops, activation_bytes=kept, context_tokens=tokens)


def measure_prior(transformer: PriorTransformer, *, bf16: bool, draws: int = 1) -> Footprint:
    """Count one sample's work and memory, its caption as long as can be.

    Args:
        transformer: On the meta device.
        bf16: Whether it runs under bf16 autocast.
        draws: Timesteps and noises a caption.
    """
    sizes = transformer.sizes

    def run(network: PriorTransformer, samples: int) -> Tensor:
        sentence = torch.ones(samples, sizes.embedding_width)
        words = torch.ones(samples, sizes.text_tokens - 1, sizes.text_width)
        text, there = network.text(sentence, words, torch.ones(samples, dtype=torch.bool))
        text, there = text.repeat(draws, 1, 1), there.repeat(draws, 1)
        return network(sentence.repeat(draws, 1), torch.ones(draws * samples), text, there)

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        run(transformer, 1)
    with FakeTensorMode():  # as in `measure`
        twin = PriorTransformer(transformer.config, sizes)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            kept = _activation_growth(lambda samples: run(twin, samples), "cpu")
    return Footprint(
        flops={"transformer": counter.get_total_flops()},
        activation_bytes=kept,
        context_tokens=transformer.text_positions.shape[0],
    )


class _Float32Norms(TorchFunctionMode):
    """Runs group norm in float32, as autocast does on a GPU but not on a CPU."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.group_norm:
            args = tuple(arg.float() if isinstance(arg, Tensor) else arg for arg in args)
        return func(*args, **(kwargs or {}))


def _encode(
    encoder: ConditionEncoder, spec: RepresentationSpec, backbone: UNet, samples: int
) -> ConditionSignals:
    side = backbone.config.resolution * backbone.dims.hint_scale
    shape = [side if isinstance(size, str) else size for size in spec.shape]
    value = torch.zeros(samples, *shape, dtype=getattr(torch, spec.dtype))
    return encoder(value, torch.ones(samples, dtype=torch.bool))


def _run(backbone: UNet, tokens: int, samples: int, side: int | None = None) -> Tensor:
    """One forward pass with every signal present, on the current default device."""
    config, dims = backbone.config, backbone.dims
    side = side or config.resolution
    signals = ConditionSignals(
        time=torch.zeros(samples, dims.time_dim),
        context=torch.zeros(samples, tokens, dims.context_dim) if tokens else None,
        context_mask=torch.ones(samples, tokens, dtype=torch.bool) if tokens else None,
        hint=torch.zeros(samples, dims.hint_channels, side, side),
    )
    x_t = torch.zeros(samples, config.in_channels, side, side)
    return backbone(x_t, torch.zeros(samples), signals)


def _activation_growth(run: Callable[[int], object], device: str) -> int:
    """Bytes that autograd keeps for one sample more."""

    def kept(samples: int) -> int:
        saved: dict[int, Tensor] = {}  # holding the tensors keeps their storages apart

        def pack(tensor: Tensor) -> Tensor:
            saved[tensor.untyped_storage()._cdata] = tensor
            return tensor

        with (
            torch.device(device),
            torch.enable_grad(),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        ):
            output = run(samples)  # held until counted, as its graph holds what was saved
        total = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
        del output
        return total

    return kept(2) - kept(1)
