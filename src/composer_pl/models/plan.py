"""What a configuration costs, computed without allocating it: size, memory, work, dropout."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from composer_pl.backbones.unet import UNet
from composer_pl.errors import ConfigError
from composer_pl.models.footprint import Footprint, measure
from composer_pl.types import RepresentationSpec

SUSTAINED_TFLOPS = 395.0
"""Default assumption: half of the 790 TFLOP/s of dense bf16 matmul measured on one H200."""

_TRAIN_FACTOR = 3  # the backward pass costs twice the forward pass
_ACTIVATIONS = (
    "tensors that autograd keeps, each storage once; growth from one sample to two, so weights are "
    "not in it; eager, network in {precision}, encoders in fp32; compiled networks keep less"
)


@runtime_checkable
class Parametrised(Protocol):
    """A module, as far as counting goes."""

    def parameters(self) -> Any:
        """All parameters."""
        ...


class PlannedModel(Parametrised, Protocol):
    """What `make_plan` reads of a model; `ComposerModel` and `UpsamplerModel` have it."""

    @property
    def backbone(self) -> UNet:
        """The network."""
        ...

    @property
    def conditioner(self) -> Any:
        """A module whose `encoders` is a ModuleDict of condition encoders; None without any."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DropoutEvents:
    """How often conditions are kept in training.

    Attributes:
        keep_rates: Expected share of samples that keep each condition.
        p_drop_all: Probability of the joint event that a sample keeps nothing.
        p_keep_all: Probability of the joint event that a sample keeps everything.
    """

    keep_rates: dict[str, float]
    p_drop_all: float
    p_keep_all: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The cost of a configuration. FLOPs count a multiply-add as two.

    Attributes:
        parameters: Trained numbers by part: `backbone`, each condition, `presence and fusion`.
        resolution: Side of the pictures, or of the crops, of a training step.
        context_tokens: Context tokens when all conditions are present.
        batch_size: Samples a step on one device.
        flops_forward: FLOPs of one sample's forward pass by part, all conditions present.
        activation_bytes_per_image: Memory that one sample adds to a training step.
        activation_method: How that was obtained.
        memory_bytes: Training memory by part, for the batch.
        tflops: Assumed sustained rate in TFLOP/s.
        dropout: Dropout events; None of a model without conditions.
    """

    parameters: dict[str, int]
    resolution: int
    context_tokens: int
    batch_size: int
    flops_forward: dict[str, int]
    activation_bytes_per_image: int
    activation_method: str
    memory_bytes: dict[str, int]
    tflops: float
    dropout: DropoutEvents | None

    @property
    def total_parameters(self) -> int:
        """All trained numbers."""
        return sum(self.parameters.values())

    @property
    def total_memory_bytes(self) -> int:
        """Training memory of one device."""
        return sum(self.memory_bytes.values())

    @property
    def flops_train_step(self) -> int:
        """FLOPs of a training step: forward and backward (twice the forward) of the batch."""
        return _TRAIN_FACTOR * self.batch_size * sum(self.flops_forward.values())

    @property
    def images_per_second(self) -> float:
        """Training speed of one device at the assumed rate."""
        return self.tflops * 1e12 * self.batch_size / self.flops_train_step

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, totals included."""
        return {
            **asdict(self),
            "total_parameters": self.total_parameters,
            "total_memory_bytes": self.total_memory_bytes,
            "flops_train_step": self.flops_train_step,
            "images_per_second": self.images_per_second,
        }

    def table(self) -> str:
        """Everything as text for people."""
        groups = [
            ("parameters", self.parameters, 1e6, "M"),
            ("forward, one image", self.flops_forward, 1e9, "GFLOP"),
            (f"training memory, batch {self.batch_size}", self.memory_bytes, 1e9, "GB"),
        ]
        lines: list[str] = []
        for title, parts, unit, name in groups:
            lines.append(title)
            total = {"total": sum(parts.values())} if len(parts) > 1 else {}
            lines += [f"  {k:<24}{v / unit:>12,.3f} {name}" for k, v in {**parts, **total}.items()]
        size = f"{self.resolution} px, " if self.resolution else ""
        lines += [
            f"train step, batch {self.batch_size}: {self.flops_train_step / 1e12:,.3f} TFLOP "
            f"({_TRAIN_FACTOR} x forward), {size}{self.context_tokens} context tokens",
            f"speed: {self.images_per_second:,.1f} images/s, assuming a sustained "
            f"{self.tflops:g} TFLOP/s on one device",
            f"activations: {self.activation_bytes_per_image / 1e6:,.1f} MB an image "
            f"({self.activation_method})",
        ]
        if self.dropout is not None:
            lines += [
                f"dropout: all dropped together {self.dropout.p_drop_all:.2f}, "
                f"all kept together {self.dropout.p_keep_all:.2f}; expected keep rates",
                *(f"  {name:<24}{rate:>12.3f}" for name, rate in self.dropout.keep_rates.items()),
            ]
        return "\n".join(lines)


def make_plan(
    build: Callable[[], PlannedModel],
    *,
    specs: Mapping[str, RepresentationSpec],
    dropout: DropoutEvents | None,
    batch_size: int = 1,
    tflops: float = SUSTAINED_TFLOPS,
    ema: bool = True,
    bf16: bool = True,
    side: int | None = None,
    rest: str = "presence and fusion",
) -> Plan:
    """Plan the training run of a U-Net: AdamW in float32.

    Args:
        build: Builds the model; called under the meta device, so that nothing is allocated.
        specs: What the extractor of each condition yields, by name.
        dropout: Dropout events of the run's policy; None of a model without conditions.
        batch_size: Samples a step on one device.
        tflops: Sustained rate to assume, in TFLOP/s.
        ema: Whether an average of the weights is kept.
        bf16: Whether autocast keeps a bf16 copy of the weights during a step.
        side: Side of the crops of a training step; None takes whole pictures.
        rest: What to call the parameters beside those of the backbone and of the conditions.

    Raises:
        ConfigError: The batch is empty, the rate is not positive, or a condition has no spec.
    """
    _check(batch_size, tflops)
    with torch.device("meta"):
        model = build()
    encoders = {} if model.conditioner is None else dict(model.conditioner.encoders.items())
    missing = sorted(encoders.keys() - specs.keys())
    if missing:
        raise ConfigError(
            f"Planning a run: every condition needs a spec of its values, found none for "
            f"{', '.join(missing)}. Next: give the specs of the model's own plugins."
        )
    return assemble_plan(
        model,
        {"backbone": model.backbone, **encoders},
        measure(model.backbone, encoders, specs, bf16=bf16, side=side),
        resolution=side or model.backbone.config.resolution,
        dropout=dropout,
        batch_size=batch_size,
        tflops=tflops,
        ema=ema,
        bf16=bf16,
        rest=rest,
    )


def assemble_plan(
    model: Parametrised,
    parts: Mapping[str, Parametrised],
    work: Footprint,
    *,
    resolution: int,
    dropout: DropoutEvents | None,
    batch_size: int = 1,
    tflops: float = SUSTAINED_TFLOPS,
    ema: bool = True,
    bf16: bool = True,
    rest: str = "rest",
) -> Plan:
    """Plan a training run from a model of any kind and what one sample of it costs.

    Args:
        model: The whole model, on any device.
        parts: Its parts, to count one by one.
        work: FLOPs, activations and context tokens of one sample.
        resolution: Side of the pictures of a training step; 0 where there are none.
        dropout: Dropout events; None of a model without conditions.
        batch_size: Samples a step on one device.
        tflops: Sustained rate to assume, in TFLOP/s.
        ema: Whether an average of the weights is kept.
        bf16: Whether autocast keeps a bf16 copy of the weights during a step.
        rest: What to call the parameters in none of the parts.

    Raises:
        ConfigError: The batch is empty, or the rate is not positive.
    """
    _check(batch_size, tflops)
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    total = sum(p.numel() for p in model.parameters())
    if left := total - sum(parameters.values()):
        parameters[rest] = left
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    memory = {"weights": 4 * total, "gradients": 4 * trained, "AdamW moments": 8 * trained}
    if ema:
        memory["weight average"] = 4 * total
    if bf16:
        memory["bf16 copy of weights"] = 2 * total
    memory["activations"] = work.activation_bytes * batch_size
    return Plan(
        parameters=parameters,
        resolution=resolution,
        context_tokens=work.context_tokens,
        batch_size=batch_size,
        flops_forward=work.flops,
        activation_bytes_per_image=work.activation_bytes,
        activation_method=_ACTIVATIONS.format(precision="bf16 autocast" if bf16 else "fp32"),
        memory_bytes=memory,
        tflops=tflops,
        dropout=dropout,
    )


def _check(batch_size: int, tflops: float) -> None:
    if batch_size < 1 or tflops <= 0:
        raise ConfigError(
            f"Planning a run: batch size and TFLOP/s must be positive, found {batch_size} and "
            f"{tflops:g}. Next: correct the one that is not."
        )
