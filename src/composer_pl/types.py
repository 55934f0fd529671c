"""Records that cross the borders between layers, and the legend of tensor axis names.

Axis names in shape annotations, everywhere in the project:

- `b` batch, `c` channels, `h w` picture height and width (pixels of the tensor at hand),
- `n` conditions, `k` context tokens, `d` a feature width, `t` diffusion timesteps.

Pictures are in [-1, 1] everywhere inside the project; [0, 1] only in `visualize` and in files.
"""

from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneDims:
    """What an encoder must produce; published by a backbone as `.dims`.

    Attributes:
        time_dim: Width of the time embedding that global conditions are added to.
        context_dim: Width of one context token.
        hint_channels: Channels of the summed local conditions, concatenated to x_t.
        hint_scale: Side of a local value divided by the side of x_t, a power of two; local
            encoders bring values down by this factor with strided convolutions.
    """

    time_dim: int
    context_dim: int
    hint_channels: int
    hint_scale: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RepresentationSpec:
    """What an extractor yields for one sample, batch axis excluded.

    Attributes:
        shape: Sizes of the axes; "H" and "W" stand for the side of local values,
            which is `hint_scale` times the side of x_t.
        value_range: Smallest and largest legal value, or None when unbounded.
        dtype: "float32", or "int64" for names of things (classes, labels), which are never
            averaged or rounded. The encoder receives values in this dtype.
    """

    shape: tuple[int | Literal["H", "W"], ...]
    value_range: tuple[float, float] | None = None
    dtype: Literal["float32", "int64"] = "float32"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionSignals:
    """The three places where conditions enter a backbone; None means nothing enters there.

    Attributes:
        time: Added to the time embedding.
        context: Tokens that the attention blocks attend to beside the picture's own.
        context_mask: True where a context token is present. A token whose mask is False takes no
            part in attention at all. Always given together with `context`.
        hint: Concatenated to x_t along channels, on the grid of x_t.
    """

    time: Float[Tensor, "b time_dim"] | None = None
    context: Float[Tensor, "b k context_dim"] | None = None
    context_mask: Bool[Tensor, "b k"] | None = None
    hint: Float[Tensor, "b hint_channels h w"] | None = None


class Batch(TypedDict):
    """What the data layer yields. Nothing writes into it after the loader.

    Keys:
        source: The canvas that extractors see, in [-1, 1], square, larger than `image`.
        image: The training target x_0 in [-1, 1], cut from the same crop as `source`.
        caption: One text a sample; an empty string where there is none.
        index: Position of the sample in the whole dataset.
        key: One 63-bit number a sample, a pure function of (seed, epoch, index), from which all
            randomness of that sample is derived (see `composer_pl.randomness`).
        identity: One 63-bit number a sample, a pure function of the file and its crop, the same in
            every epoch that cuts the picture the same way: what extracted values are cached under.
        conditions: Values that the dataset itself supplies (true depth, say), by condition name;
            a missing name is extracted.
    """

    source: Float[Tensor, "b 3 s s"]
    image: Float[Tensor, "b 3 h w"]
    caption: list[str]
    index: Int[Tensor, " b"]
    key: Int[Tensor, " b"]
    identity: Int[Tensor, " b"]
    conditions: NotRequired[dict[str, Tensor]]
