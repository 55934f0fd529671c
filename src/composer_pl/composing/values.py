"""Parts as a model takes them."""

from torch import Tensor

from composer_pl.composing.mistakes import UnknownToModelError
from composer_pl.composing.parts import Parts
from composer_pl.errors import RepresentationError
from composer_pl.models.base import ComposerModel
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.plugin.values import check_value, to_value_size, value_dtype, value_shape


def model_values(
    model: ComposerModel | UpsamplerModel, parts: Parts, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Parts as a model takes them for pictures of a size, on its device.

    Args:
        model: What they are for.
        parts: The values.
        size: Height and width of the pictures; local values are brought to `model.value_size`.

    Raises:
        UnknownToModelError: The model does not know a condition.
        RepresentationError: A value contradicts what the model was trained with.
    """
    device = next(model.parameters()).device
    target = model.value_size(*size)
    values: dict[str, Tensor] = {}
    for name, value in parts.batch().items():
        if name not in model.plugins:
            raise UnknownToModelError(name, model.names, doing="Composing a picture")
        plugin = model.plugins[name]
        dtype = value_dtype(plugin.spec)
        if plugin.scope == "local" and value.ndim == 4 and min(value.shape) > 0:
            value = to_value_size(value, plugin, target)
        doing = f"Composing a picture from the condition {name!r}"
        advice = "extract the part again with this model"
        if value.is_floating_point() != dtype.is_floating_point or value.is_complex():
            raise RepresentationError(
                f"{doing}: expected {plugin.spec.dtype}, found {value.dtype}. Next: {advice}."
            )
        value = value.to(dtype)
        check_value(
            value,
            plugin.spec,
            (1, *value_shape(plugin.spec, target)),
            doing=doing,
            advice=advice,
        )
        values[name] = value.to(device)
    return values
