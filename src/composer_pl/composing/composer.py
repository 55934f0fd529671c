"""`Composer`: a trained model as a person uses it, to take pictures apart and make new ones."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.mistakes import UnknownToModelError, usable_device
from composer_pl.composing.parts import Parts
from composer_pl.composing.settings import reconfigured
from composer_pl.errors import RepresentationError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.sampling import SamplingRecipe, sample, sample_keys
from composer_pl.models.storage import load_model, save_model
from composer_pl.plugin.values import check_value, to_value_size, value_dtype, value_shape
from composer_pl.sheet import to_pil

MAX_PICTURES = 10_000
"""Most pictures of one call; more are several calls with several seeds."""
MAX_ENLARGEMENT = 16
"""Longest side of a picture as a multiple of the side that the model was trained at."""


class Composer:
    """A trained model with its extractors.

    Args:
        model: The model; moved to `device` and put into evaluation mode.
        device: Where to run.
        canvas: Side of the canvas that extractors see; None takes four times the model's side.
        settings: Arguments of conditions to extract with in place of those in training, by name,
            such as `{"sketch": {"edges": "canny"}}` where PiDiNet's weights are not at hand.

    Raises:
        UserInputError: There is no such device, or a setting is wrong.
    """

    def __init__(
        self,
        model: ComposerModel,
        *,
        device: str | torch.device = "cpu",
        canvas: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        self.device = usable_device(device)
        self.model = model.eval().requires_grad_(False).to(self.device)
        side = model.config.resolution
        self.decomposer = Decomposer(
            reconfigured(model.plugins, settings or {}),
            value_size=model.value_size(side, side),
            canvas=4 * side if canvas is None else canvas,
            device=self.device,
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "cpu",
        averaged: bool = True,
        canvas: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "Composer":
        """Load a model folder or a checkpoint of `composer-pl fit`.

        Args:
            path: The folder or file.
            device: Where to run.
            averaged: Take the averaged (EMA) weights of a checkpoint.
            canvas: See the class.
            settings: See the class.

        Raises:
            CheckpointError: There is no model that can be read.
            UnknownConditionError: It needs a plugin that is not installed.
            UserInputError: There is no such device, or a setting is wrong.
        """
        usable_device(device)  # before a large file is read
        model = load_model(path, averaged=averaged)
        return cls(model, device=device, canvas=canvas, settings=settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as a folder that `from_pretrained` reads."""
        save_model(self.model, folder)

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions that the model knows."""
        return self.model.names

    def decompose(
        self,
        picture: str | Path | Image.Image,
        *,
        caption: str = "",
        seed: int = 0,
        names: Sequence[str] | None = None,
    ) -> Parts:
        """Take a picture apart; see `Decomposer.decompose`."""
        return self.decomposer.decompose(picture, caption=caption, seed=seed, names=names)

    def read(self, name: str, source: str | Path) -> Parts:
        """A value that a person supplies: hex colours, a drawn sketch, a text; see the plugin.

        Raises:
            UnknownConditionError: The model does not know the condition.
            UserInputError: The source is no legal value of it.
        """
        if name not in self.model.plugins:
            raise UnknownToModelError(name, self.names, doing="Reading a value by hand")
        plugin = self.decomposer.plugins[name]
        if plugin.inputs == ("caption",):  # through the extractor that is already loaded
            extract = self.decomposer.extraction.extractor(name, self.device)
            value = extract([str(source)])[0].cpu()
        else:
            value = plugin.read(source)
        return Parts({name: value}, {name: str(source)})

    def compose(
        self,
        parts: Parts,
        *,
        n: int = 1,
        seed: int = 0,
        recipe: SamplingRecipe | None = None,
        size: tuple[int, int] | None = None,
        against: Parts | Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Image.Image]:
        """Make pictures that obey the given parts.

        Args:
            parts: Values from one picture or many; empty draws without any condition.
            n: How many pictures. Picture i of a seed is the same for every n.
            seed: Seed of the starting noise.
            recipe: How to sample; None takes the default.
            size: Height and width; None takes the model's own. Local parts are resized to it, so a
                square sketch is stretched where the sides differ.
            against: The set that guidance moves away from (paper section 2.1). Names of `parts`
                are kept there as well, so that they get weight 1 while the others get the guidance
                weight; `Parts` of its own may hold other values, such as an unwanted caption.
            progress: Called with (finished steps, all steps).

        Raises:
            UnknownConditionError: A part is of a condition that the model does not know.
            RepresentationError: A value has the wrong shape or is out of its range.
            UserInputError: `n`, `size` or `against` is not usable, or the model answers NaN.
        """
        side = self.model.config.resolution
        height, width = size or (side, side)
        self._check(n, (height, width))
        if not isinstance(against, Parts):
            names = (against,) if isinstance(against, str) else tuple(against)
            against = parts.only(*names)
        pictures = sample(
            self.model,
            self._values(parts, (height, width)),
            recipe or SamplingRecipe(),
            keys=sample_keys(seed, n),
            size=(height, width),
            against=self._values(against, (height, width)),
            progress=progress,
        )
        if not bool(pictures.isfinite().all()):
            raise UserInputError(
                "Composing a picture: expected finite numbers of the model, found NaN or Inf. "
                "Next: use another checkpoint, as its weights are damaged, or less guidance."
            )
        return [to_pil((picture + 1) / 2) for picture in pictures]

    def _check(self, n: int, size: tuple[int, int]) -> None:
        if not 1 <= n <= MAX_PICTURES:
            raise UserInputError(
                f"Composing a picture: n must be at least 1 and at most {MAX_PICTURES}, found {n}. "
                f"Next: correct it; several seeds give more pictures."
            )
        multiple = self.model.config.side_multiple
        most = MAX_ENLARGEMENT * self.model.config.resolution
        if any(side % multiple or not multiple <= side <= most for side in size):
            raise UserInputError(
                f"Composing a picture: both sides must be multiples of {multiple} up to {most}, "
                f"found {size[0]}x{size[1]}. Next: correct the size."
            )

    def _values(self, parts: Parts, size: tuple[int, int]) -> dict[str, Tensor]:
        """Parts as the model takes them, local ones at the size that it wants.

        Raises:
            UnknownToModelError: The model does not know a condition.
            RepresentationError: A value contradicts what the model was trained with.
        """
        target = self.model.value_size(*size)
        values: dict[str, Tensor] = {}
        for name, value in parts.batch().items():
            if name not in self.model.plugins:
                raise UnknownToModelError(name, self.names, doing="Composing a picture")
            plugin = self.model.plugins[name]
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
            values[name] = value.to(self.device)
        return values
