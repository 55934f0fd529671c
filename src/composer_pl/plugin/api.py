"""The contract of a condition: one representation of a picture, extracted and encoded.

Composer decomposes a picture into representations and learns to rebuild it from any subset of them
(Huang et al., 2023, section 2.1-2.2). Each representation is one `ConditionPlugin`.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import ConfigError, UserInputError
from composer_pl.plugin.between import lerp
from composer_pl.plugin.encoders import ConditionEncoder
from composer_pl.plugin.weights import WeightSpec
from composer_pl.types import BackboneDims, RepresentationSpec

Extractor = Callable[..., Tensor]
"""A function or frozen Module: inputs of a batch -> `(b, *spec.shape)`.

It receives the batch entries named by `ConditionPlugin.inputs`, positionally, and after them, when
`ConditionPlugin.randomized` is set, one int64 key a sample, on the CPU. Pictures arrive as
`Float[Tensor, "b 3 h w"]` in float32 and [-1, 1]; their short side is `ConditionPlugin.canvas`, and
in training both are. Captions arrive as `list[str]`. A Module is frozen, put into evaluation mode
and moved to the pictures' device; a function works wherever its pictures are. A local extractor may
answer at any spatial size: the framework brings the map to H x W.
"""


class ConditionPlugin(ABC):
    """One representation: how it is extracted, encoded, compared and shown.

    A plugin is a plain, cheap object. Its constructor takes keyword-only, typed, documented
    hyperparameters and stores each under its own name, and does nothing else: no weights, no heavy
    imports, no files. That makes it picklable, comparable, and re-creatable from `config()`.

    A plugin has no name: the key under which a configuration lists it is its name.
    """

    scope: ClassVar[Literal["global", "local"]]
    """`global` fills the time embedding and context tokens, `local` fills the hint."""

    canvas: int | None = None
    """Side in pixels of the picture that the extractor wants; None means that of local values.

    A property, or set by the constructor, where it depends on an argument.
    """

    resample: ClassVar[Literal["area", "bicubic", "nearest"]] = "area"
    """How the extracted map is brought to H x W: `area` is antialiased, and the usual choice;
    `nearest` keeps values that must not be mixed. Integers are never mixed."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    """What the extractor reads: "image" (the canvas), "caption", or both, in this order."""

    randomized: ClassVar[bool] = False
    """True when extraction draws at random; it then takes one key a sample and is never cached."""

    weights: ClassVar[tuple[WeightSpec, ...]] = ()
    """Pretrained files that the extractor can use, as data."""

    drop_prob: float = 0.5
    """Probability of dropping this condition for a sample of the free group (paper: 0.5)."""

    # -- three things to implement ---------------------------------------------------------------

    @property
    @abstractmethod
    def spec(self) -> RepresentationSpec:
        """What the extractor yields; may depend on hyperparameters."""

    @abstractmethod
    def build_extractor(self) -> Extractor:
        """Build the frozen extractor; heavy imports and weight loading happen here.

        Raises:
            MissingWeightsError: Weights are needed and absent.
            MissingDependencyError: A library is needed and absent.
        """

    @abstractmethod
    def build_encoder(self, dims: BackboneDims) -> ConditionEncoder:
        """Build the trainable encoder for a backbone of the given dims."""

    # -- what has a stated default ---------------------------------------------------------------

    def agreement(self) -> dict[str, str]:
        """Facts that all conditions of one model must share, such as `{"clip": "ViT-L-14"}`.

        A model whose conditions give different values for one fact is refused at the start.
        """
        return {}

    def weights_in_use(self) -> tuple[WeightSpec, ...]:
        """Those of `weights` that the extractor of this configuration reads."""
        return self.weights

    @classmethod
    def convert_weights(cls, spec: WeightSpec, source: Path, target: Path) -> None:
        """Write the safetensors `spec.converted` of a file in an unsafe format, once.

        Override it when a spec of `weights` sets `converted`; load `source` under safe loading
        only. Extraction then reads what `resolve_weights(..., convert=self.convert_weights)`
        answers, and never the original file.

        Args:
            spec: One of `weights`.
            source: The downloaded file, whose digest is right.
            target: The safetensors file to write; the framework brings it to its final name.
        """
        raise ConfigError(
            f"Converting {spec.name}: {cls.__name__} declares `converted` and does not override "
            f"convert_weights. Next: write that method, or leave `converted` empty."
        )

    def distance(self, value: Tensor, other: Tensor) -> Float[Tensor, " b"]:
        """How far two batches of values are apart: 0 when equal, about 1 when unrelated.

        The default is the mean absolute difference divided by the width of `spec.value_range` (by
        1 where there is none: override it then), and for integers the share that differs.
        """
        if not value.is_floating_point():
            return (value != other).flatten(1).float().mean(1)
        low, high = self.spec.value_range or (0.0, 1.0)
        return (value - other).abs().flatten(1).mean(1) / (high - low)

    def adherence(
        self, image: Float[Tensor, "b 3 h w"], value: Tensor, *, extractor: Extractor
    ) -> Float[Tensor, " b"]:
        """How well pictures obey values: 1 is perfect obedience, lower is worse.

        The default extracts from the picture and returns `1 - distance`. Override it where that
        cannot be: a caption is not extracted from pictures, a mask must be given, not drawn.

        Args:
            image: Pictures in [-1, 1], already at `canvas` (or at H x W where that is None).
            value: The values that the pictures were made from.
            extractor: What `build_extractor` returned, kept by the caller between calls. For a
                local plugin it is wrapped to answer at the size of `value`.

        Raises:
            ConfigError: The default is asked of an extractor that reads more than a picture.
        """
        if self.inputs != ("image",) or self.randomized:
            needs = " and ".join((*self.inputs, *(("keys",) if self.randomized else ())))
            raise ConfigError(
                f"Scoring how well pictures obey {type(self).__name__}: the default extracts from "
                f"a picture alone, found an extractor of {needs}. Next: override `adherence`."
            )
        return 1 - self.distance(extractor(image), value)

    def interpolate(
        self, value: Tensor, other: Tensor, share: float, *, straight: bool = False
    ) -> Tensor:
        """What lies between two batches of values: `value` at share 0, `other` at 1, exactly.

        The default goes straight, and of integers takes the nearer. Override it where the straight
        line leaves the legal values or shows two faded things in place of one between: embeddings
        go along an arc (`slerp`), palettes by transport.

        Args:
            value: Where the way begins.
            other: Where it ends, of the same shape.
            share: How much of the way is gone, in 0..1.
            straight: Asks an override for the straight line, or the legal values nearest to it.
        """
        return lerp(value, other, share)

    def read(self, source: str | Path) -> Tensor:
        """Read a value that a person supplies by hand; no batch axis.

        The default refuses. Override it to accept a drawn sketch, a depth map, hex colours, a text.
        A local value may have any height and width: the framework brings it to H x W.

        Raises:
            UserInputError: The source is not a legal value, with what was expected.
        """
        raise UserInputError(
            f"Reading {str(source)!r} as a value of {type(self).__name__}: this condition can only "
            f"be extracted from a picture. Next: give a picture with --from."
        )

    def visualize(self, value: Tensor) -> Float[Tensor, "b 3 h w"] | list[str]:
        """Draw a batch of values as pictures in [0, 1], or as one line of text a sample.

        The default rescales one- and three-channel maps from `spec.value_range`, and draws a
        global vector as a row of bars.
        """
        low, high = self.spec.value_range or (float(value.min()), float(value.max()))
        scaled = ((value.float() - low) / max(high - low, 1e-8)).clamp(0, 1)
        if scaled.ndim == 4:
            if scaled.shape[1] == 3:
                return scaled
            return scaled.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        bars = scaled.flatten(1)
        levels = torch.linspace(1, 0, 64, device=bars.device)[None, :, None]
        picture = (bars[:, None, :] >= levels).float()
        return picture[:, None].expand(-1, 3, -1, -1)

    # -- derived, not to be overridden -----------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The constructor arguments that re-create this plugin, as plain data.

        Raises:
            ConfigError: The constructor does not store an argument under its own name.
        """
        names = inspect.signature(type(self)).parameters  # none where there is no constructor
        try:
            return {name: getattr(self, name) for name in names}
        except AttributeError as error:
            raise ConfigError(
                f"Describing {type(self).__name__}: every constructor argument must be stored "
                f"under its own name, found none for {error.name!r}. Next: set self.{error.name}."
            ) from error

    def __eq__(self, other: object) -> bool:
        """Two plugins are equal when class and constructor arguments are."""
        return type(self) is type(other) and self.config() == other.config()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash((type(self), repr(sorted(self.config().items()))))

    def __repr__(self) -> str:
        """`Class(argument=value, ...)`."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.config().items())
        return f"{type(self).__name__}({arguments})"
