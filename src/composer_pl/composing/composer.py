"""`Composer`: a trained model as a person uses it, to take pictures apart and make new ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.parts import Parts
from composer_pl.errors import RepresentationError, UnknownConditionError, UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.sampling import SamplingRecipe, sample, sample_keys
from composer_pl.models.storage import load_model, save_model
from composer_pl.sheet import to_pil


class Composer:
    """A trained model with its extractors.

    Args:
        model: The model; moved to `device` and put into evaluation mode.
        device: Where to run.
        canvas: Side of the canvas that extractors see; None takes four times the model's side.
    """

    def __init__(
        self, model: ComposerModel, *, device: str | torch.device = "cpu", canvas: int | None = None
    ):
        self.device = torch.device(device)
        self.model = model.eval().requires_grad_(False).to(self.device)
        side = model.config.resolution
        self.decomposer = Decomposer(
            model.plugins,
            value_size=model.value_size(side, side),
            canvas=canvas or 4 * side,
            device=self.device,
        )

    @classmethod
    def from_pretrained(
        cls, path: str | Path, *, device: str | torch.device = "cpu", averaged: bool = True
    ) -> "Composer":
        """Load a model folder or a checkpoint of `composer-pl fit`.

        Args:
            path: The folder or file.
            device: Where to run.
            averaged: Take the averaged (EMA) weights of a checkpoint.

        Raises:
            CheckpointError: There is no model that can be read.
            UnknownConditionError: It needs a plugin that is not installed.
        """
        return cls(load_model(path, averaged=averaged), device=device)

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
            raise UnknownConditionError(name, self.names, doing="Reading a value by hand")
        plugin = self.model.plugins[name]
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
        against: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Image.Image]:
        """Make pictures that obey the given parts.

        Args:
            parts: Values from one picture or many; empty draws without any condition.
            n: How many pictures. Picture i of a seed is the same for every n.
            seed: Seed of the starting noise.
            recipe: How to sample; None takes the default.
            size: Height and width; None takes the model's own.
            against: Names of parts that the guided-away-from set keeps as well, so that they get
                weight 1 while the others get the guidance weight (paper section 2.1).
            progress: Called with (finished steps, all steps).

        Raises:
            UnknownConditionError: A part is of a condition that the model does not know.
            RepresentationError: A value has the wrong shape.
            UserInputError: `n`, `size` or `against` is not usable.
        """
        side = self.model.config.resolution
        height, width = size or (side, side)
        self._check(parts, n, (height, width), against)
        values = {
            name: self._fitted(name, value, (height, width))
            for name, value in parts.batch().items()
        }
        pictures = sample(
            self.model,
            values,
            recipe or SamplingRecipe(),
            keys=sample_keys(seed, n),
            size=(height, width),
            against=against,
            progress=progress,
        )
        return [to_pil((picture + 1) / 2) for picture in pictures]

    def _check(self, parts: Parts, n: int, size: tuple[int, int], against: Sequence[str]) -> None:
        for name in parts:
            if name not in self.model.plugins:
                raise UnknownConditionError(name, self.names, doing="Composing a picture")
        for name in against:
            if name not in parts:
                raise UserInputError(
                    f"Composing a picture: `against` may name parts that are given "
                    f"({', '.join(parts) or 'none'}), found {name!r}. Next: correct the name."
                )
        multiple = self.model.config.side_multiple
        if n < 1 or min(size) < multiple or any(side % multiple for side in size):
            raise UserInputError(
                f"Composing a picture: n must be at least 1 and both sides multiples of "
                f"{multiple}, found n={n}, size={size[0]}x{size[1]}. Next: correct them."
            )

    def _fitted(self, name: str, value: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Bring a local value to the size that the model wants; refuse another shape."""
        plugin = self.model.plugins[name]
        target = self.model.value_size(*size)
        if plugin.scope == "local" and value.ndim == 4 and value.shape[-2:] != target:
            mode = "nearest-exact" if plugin.resample == "nearest" else "bilinear"
            antialias = mode == "bilinear"
            value = torch.nn.functional.interpolate(
                value, size=target, mode=mode, antialias=antialias
            )
        sides = {"H": target[0], "W": target[1]}
        expected = tuple(sides[a] if isinstance(a, str) else a for a in plugin.spec.shape)
        if tuple(value.shape[1:]) != expected:
            raise RepresentationError(
                f"Composing a picture: the condition {name!r} wants values of shape {expected}, "
                f"found {tuple(value.shape[1:])}. Next: extract it again with this model."
            )
        return value.to(self.device)
