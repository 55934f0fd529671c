"""Decompose pictures into their representations, with or without a trained model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.composing.mistakes import UnknownToModelError, usable_device
from composer_pl.composing.parts import Parts
from composer_pl.composing.provenance import facts_of
from composer_pl.conditions.extraction import Extraction
from composer_pl.data.decode import given_picture
from composer_pl.data.transforms import choose_crop, cut
from composer_pl.errors import MissingDependencyError, MissingWeightsError, UserInputError
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.randomness import derive_key
from composer_pl.types import Batch

MAX_SIDE = 8192
"""Most pixels of a canvas or local value on a side."""


class Decomposer:
    """Frozen extractors of a set of conditions, ready to take pictures apart.

    Args:
        plugins: The conditions by name.
        value_size: Height and width of local values.
        canvas: Side of the square canvas that pictures are cut to before extraction.
        device: Where extractors run.

    Raises:
        UserInputError: A side is out of range, or there is no such device.
    """

    def __init__(
        self,
        plugins: Mapping[str, ConditionPlugin],
        *,
        value_size: tuple[int, int],
        canvas: int = 256,
        device: str | torch.device = "cpu",
    ):
        for what, side in (("canvas", canvas), ("side of local values", min(value_size))):
            if not 8 <= side <= MAX_SIDE or max(value_size) > MAX_SIDE:
                raise UserInputError(
                    f"Preparing to decompose pictures: the {what} must be in 8..{MAX_SIDE} pixels, "
                    f"found {side}. Next: correct it."
                )
        self.extraction = Extraction(plugins, value_size=value_size)
        self.canvas = canvas
        self._facts: dict[str, dict[str, Any]] = {}
        self.device = usable_device(device)

    @property
    def plugins(self) -> dict[str, ConditionPlugin]:
        """The conditions by name."""
        return self.extraction.plugins

    def source(self, picture: str | Path | Image.Image) -> Float[Tensor, "1 3 s s"]:
        """A picture, centre-cropped to a square and resized to the canvas, in [-1, 1].

        A picture that is already open is read as its file would be: turned upright, transparency on
        white, 16 bits scaled. Levels that would be near black are stretched, which a warning tells.

        Raises:
            UserInputError: It is no picture.
        """
        loaded = given_picture(picture)
        crop = choose_crop(loaded.width, loaded.height, key=0)
        return cut(loaded, crop, size=self.canvas)[None].to(self.device)

    def decompose(
        self,
        picture: str | Path | Image.Image,
        *,
        caption: str = "",
        seed: int = 0,
        names: Sequence[str] | None = None,
    ) -> Parts:
        """Extract representations of one picture.

        Args:
            picture: A file or a picture of any size and mode.
            caption: Text that goes with it; without one, the caption is left out.
            seed: Of conditions that draw at random (masks, grey weights).
            names: Which conditions; None takes all, and raises where one lacks its weights.

        Raises:
            UserInputError: The file is no picture, or a named condition needs a text.
            UnknownConditionError: A name is not among the conditions.
            MissingWeightsError: An extractor's weights are absent.
        """
        parts, missing = self.decompose_available(picture, caption=caption, seed=seed, names=names)
        for error in missing.values():
            raise error
        return parts

    def decompose_available(
        self,
        picture: str | Path | Image.Image,
        *,
        caption: str = "",
        seed: int = 0,
        names: Sequence[str] | None = None,
    ) -> tuple[Parts, dict[str, MissingWeightsError | MissingDependencyError]]:
        """Like `decompose`, but answer with the errors of what lacks weights or a library."""
        chosen = list(self.plugins if names is None else names)
        for name in chosen:
            if name not in self.plugins:
                raise UnknownToModelError(name, self.plugins, doing="Decomposing a picture")
            if names is not None and "caption" in self.plugins[name].inputs and not caption.strip():
                raise UserInputError(
                    f"Decomposing a picture: the condition {name!r} is extracted from a text, "
                    f"found none. Next: give a caption, or leave {name!r} out."
                )
        source = self.source(picture)
        origin = str(picture) if isinstance(picture, str | Path) else "picture"
        batch = Batch(
            source=source,
            image=source,
            caption=[caption],
            index=torch.zeros(1, dtype=torch.int64),
            key=torch.tensor([derive_key(seed, "decompose")]),
            identity=torch.zeros(1, dtype=torch.int64),
        )
        available = self.extraction.available(batch)
        order = list(self.plugins)
        values: dict[str, Tensor] = {}
        notes: dict[str, str] = {}
        missing: dict[str, MissingWeightsError | MissingDependencyError] = {}
        for name in chosen:
            row = order.index(name)
            keep = torch.zeros(len(order), 1, dtype=torch.bool)
            keep[row] = available[row]
            if not bool(keep.any()):
                continue
            try:
                values[name] = self.extraction.extract(batch, keep)[name][0].cpu()
            except (MissingWeightsError, MissingDependencyError) as error:
                missing[name] = error
                continue
            notes[name] = caption if "caption" in self.plugins[name].inputs else origin
        return Parts(values, notes, {name: self.facts(name) for name in values}), missing

    def facts(self, name: str) -> dict[str, Any]:
        """How values of a condition are extracted here; files of weights are read once."""
        if name not in self._facts:
            self._facts[name] = facts_of(self.plugins[name])
        return self._facts[name]
