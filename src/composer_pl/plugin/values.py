"""What happens around an extractor: its picture at the size it wants, its answer at H x W, checked.

Training, decomposition and the contract's checks all go through these functions, so what a check
accepts is what training gets.
"""

from collections.abc import Callable
from math import isfinite

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from composer_pl.errors import RepresentationError
from composer_pl.plugin.api import ConditionPlugin, Extractor
from composer_pl.types import RepresentationSpec


def value_dtype(spec: RepresentationSpec) -> torch.dtype:
    """The torch dtype of a representation."""
    return getattr(torch, spec.dtype)


def value_shape(spec: RepresentationSpec, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of one sample's value, with "H" and "W" filled in from `size`."""
    sides = {"H": size[0], "W": size[1]}
    return tuple(sides[axis] if isinstance(axis, str) else axis for axis in spec.shape)


def to_canvas(
    image: Float[Tensor, "b 3 h w"], plugin: ConditionPlugin, value_size: tuple[int, int]
) -> Float[Tensor, "b 3 _h _w"]:
    """Bring pictures to the canvas that a plugin wants (its short side, where not square).

    A plugin without a canvas gets them at the size of local values.
    """
    height, width = image.shape[-2:]
    if plugin.canvas is None:
        size = value_size
    else:
        scale = plugin.canvas / min(height, width)
        size = (round(height * scale), round(width * scale))
    if (height, width) == size:
        return image
    resized = F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(-1, 1)


def to_value_size(value: Tensor, plugin: ConditionPlugin, size: tuple[int, int]) -> Tensor:
    """Bring an extracted map `(b, c, h, w)` to H x W by the plugin's `resample`.

    The value range is kept. Integers name something and are never mixed, whatever `resample` says.
    """
    if value.shape[-2:] == torch.Size(size):
        return value
    if not value.is_floating_point():
        return F.interpolate(value.double(), size=size, mode="nearest-exact").to(value.dtype)
    if plugin.resample == "nearest":
        return F.interpolate(value, size=size, mode="nearest-exact")
    mode = "bilinear" if plugin.resample == "area" else "bicubic"
    resized = F.interpolate(value, size=size, mode=mode, antialias=True, align_corners=False)
    low, high = plugin.spec.value_range or (None, None)
    return resized if low is None else resized.clamp(low, high)


def extractor_at(
    extractor: Extractor, plugin: ConditionPlugin, size: tuple[int, int]
) -> Callable[..., Tensor]:
    """Wrap a local extractor so that it answers at `size`, as `adherence` expects.

    A global one is handed over as it is: `adherence` may know more about it than how to call it.
    """
    if plugin.scope != "local":
        return extractor

    def at_size(*inputs: object) -> Tensor:
        return to_value_size(extractor(*inputs), plugin, size)

    return at_size


def finished(
    answer: object, plugin: ConditionPlugin, size: tuple[int, int], *, rows: int, name: str
) -> Tensor:
    """Turn an extractor's answer into values: H x W, the declared dtype, held to the spec.

    Args:
        answer: What the extractor returned.
        plugin: Whose extractor.
        size: H and W.
        rows: How many samples it was given.
        name: Name of the condition, for the message.

    Raises:
        RepresentationError: Type, shape, finiteness or range contradict the spec.
    """
    doing = f"Extracting the condition {name!r} with {type(plugin).__name__}"
    advice = f"`composer-pl plugins check {name}`, and report it to the plugin's author"
    spec = plugin.spec
    expected = (rows, *value_shape(spec, size))
    if not isinstance(answer, Tensor):
        raise RepresentationError(
            f"{doing}: expected a tensor, found {type(answer).__name__}. Next: {advice}."
        )
    if answer.is_floating_point() != value_dtype(spec).is_floating_point or answer.is_complex():
        raise RepresentationError(
            f"{doing}: expected {spec.dtype}, found {answer.dtype}. Next: {advice}."
        )
    if plugin.scope == "local" and answer.ndim == 4 and min(answer.shape) > 0:
        answer = to_value_size(answer, plugin, size)
    value = answer.to(value_dtype(spec))
    check_value(value, plugin.spec, expected, doing=doing, advice=advice)
    return value


def check_value(
    value: Tensor,
    spec: RepresentationSpec,
    expected: tuple[int, ...],
    *,
    doing: str,
    advice: str,
) -> None:
    """Hold a batch of values against the declared spec.

    Args:
        value: The values.
        spec: What was declared.
        expected: The batch axis and the filled-in shape.
        doing: What was being done, for the message.
        advice: The one next step, for the message.

    Raises:
        RepresentationError: Shape, finiteness or range contradict the spec.
    """
    if tuple(value.shape) != expected:
        raise RepresentationError(
            f"{doing}: expected shape {expected}, found {tuple(value.shape)}. Next: {advice}."
        )
    if not value.numel():
        return
    least, most = torch.stack(value.aminmax()).tolist()  # one look at numbers: a GPU waits for it
    if not (isfinite(least) and isfinite(most)):
        raise RepresentationError(
            f"{doing}: expected finite numbers, found NaN or Inf. Next: {advice}."
        )
    if spec.value_range is not None:
        low, high = spec.value_range
        slack = 1e-4 * (high - low)
        if least < low - slack or most > high + slack:
            raise RepresentationError(
                f"{doing}: expected values in [{low}, {high}], found [{least:.4g}, {most:.4g}]. "
                f"Next: {advice}."
            )
