"""Running a network over overlapping tiles of a large picture, in little memory and without seams.

Every denoising step cuts the one noisy picture into tiles, runs the network on each and joins the
answers; the sampler then goes on with the whole (Bar-Tal et al., 2023, "MultiDiffusion"). So tiles
share all noise, agree at every step, and the picture is a function of its key whatever the order of
the tiles. A tile counts for nothing in the outer quarter of an overlap, where the network saw its
border: a network of convolutions alone that reaches no farther gives what it gives without tiles.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import UserInputError

Network = Callable[[Tensor, tuple[slice, slice]], Tensor]
"""Runs a network on a part of the picture: `(tile, (rows, columns)) -> answer of its sides`."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a large picture is cut.

    Attributes:
        side: Side of the tiles in pixels of the large picture; that of the crops trained on gives
            group norms and attention what they saw in training.
        overlap: Pixels that neighbours share.
    """

    side: int = 256
    overlap: int = 64

    def __post_init__(self) -> None:
        """Refuse tiles that cannot be.

        Raises:
            UserInputError: They do not overlap, or by more than half of their side.
        """
        if self.side < 8 or not 4 <= self.overlap <= self.side // 2:
            raise UserInputError(
                f"Tiling a picture: expected tiles of at least 8 pixels that overlap by 4 pixels "
                f"up to half of their side, found side {self.side} and overlap {self.overlap}. "
                f"Next: correct them."
            )


def check_tiling(tiling: Tiling, multiple: int) -> None:
    """Refuse tiles that do not suit a network.

    Raises:
        UserInputError: Side or overlap is no multiple of what the network needs.
    """
    if tiling.side % multiple or tiling.overlap % multiple:
        raise UserInputError(
            f"Tiling a picture: expected side and overlap to be multiples of {multiple}, as the "
            f"network needs, found {tiling.side} and {tiling.overlap}. Next: correct them."
        )


def tiled(
    network: Network, x: Float[Tensor, "b c h w"], tiling: Tiling, *, multiple: int = 1
) -> Float[Tensor, "b out h w"]:
    """Run a network tile by tile and join the answers.

    Args:
        network: See `Network`.
        x: What is cut.
        tiling: Side and overlap of the tiles; a picture that is no larger is run whole.
        multiple: What the sides and the places of tiles must be divisible by; that of `x` must be.

    Raises:
        UserInputError: Side or overlap is no such multiple.
    """
    check_tiling(tiling, multiple)
    height, width = x.shape[2:]
    joined: Tensor | None = None
    down, across = (_places(length, tiling, x) for length in (height, width))
    for rows, row_weights in down:
        for columns, column_weights in across:
            answer = network(x[:, :, rows, columns], (rows, columns))
            if joined is None:
                joined = answer.new_zeros(len(x), answer.shape[1], height, width)
            weights = row_weights[:, None] * column_weights
            joined[:, :, rows, columns] += answer * weights.to(answer.dtype)
    assert joined is not None
    return joined


def _places(length: int, tiling: Tiling, like: Tensor) -> Sequence[tuple[slice, Tensor]]:
    """Along one axis, where tiles lie and how much each of their pixels counts; counts sum to 1."""
    side, overlap = min(tiling.side, length), tiling.overlap
    starts = sorted({*range(0, length - side, tiling.side - overlap), length - side})
    place = torch.arange(side, dtype=torch.float64)
    counts = []
    for start in starts:
        # Nothing in the outer quarter of the overlap, then a ramp over half of it, then all.
        ramp = torch.ones(side, dtype=torch.float64)
        if start > 0:
            ramp *= ((place + 0.5 - overlap / 4) / (overlap / 2)).clamp(0, 1)
        if start + side < length:
            ramp *= ((side - place - 0.5 - overlap / 4) / (overlap / 2)).clamp(0, 1)
        counts.append(ramp)
    total = torch.zeros(length, dtype=torch.float64)
    for start, ramp in zip(starts, counts, strict=True):
        total[start : start + side] += ramp
    device = like.device
    return [
        (slice(start, start + side), (ramp / total[start : start + side]).float().to(device))
        for start, ramp in zip(starts, counts, strict=True)
    ]
