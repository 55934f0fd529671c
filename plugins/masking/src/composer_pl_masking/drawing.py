"""Drawing holes: irregular strokes, rectangles and half pictures, by key.

All sizes are those that the authors' lab published with its later work, given for a 512 x 512
picture (see the table below); they are scaled to the picture at hand. A hole is drawn as numbers on
that 512 grid and only then rasterised, so one key gives the same hole at every resolution.

| kind | how many | size on the 512 grid |
|---|---|---|
| strokes | 1-5, of 1-5 segments each | segment length 10-209, brush 5-104 |
| rectangles | 1-4 | sides 30-150, at least 10 from the border |
| halves | 1 | left, right, upper or lower half |

Differs from the lab: the direction of a segment is uniform, and a segment has round ends.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.plugin import keyed_generator

KINDS = ("strokes", "rectangles", "halves")
"""In the order in which weights are given."""

GRID = 512
"""Side of the picture that the sizes are meant for."""


def draw_masks(
    keys: Int[Tensor, " b"], size: tuple[int, int], shares: tuple[float, float, float]
) -> Float[Tensor, "b 1 h w"]:
    """Draw one mask a key: 1 where the picture is known, 0 in the hole.

    Args:
        keys: One key a sample; nothing else influences its mask.
        size: Height and width of the masks.
        shares: Weights of `KINDS`, not necessarily summing to one.

    Returns:
        Masks of exactly 0 and 1, on the CPU.
    """
    masks = torch.ones(len(keys), 1, *size)
    for mask, key in zip(masks, keys, strict=True):
        generator = keyed_generator(int(key), "masking")
        level = float(torch.rand((), generator=generator)) * sum(shares)
        if level < shares[0]:
            erase_strokes(mask[0], generator)
        elif level < shares[0] + shares[1]:
            erase_rectangles(mask[0], generator)
        else:
            erase_half(mask[0], generator)
    return masks


def erase_strokes(mask: Float[Tensor, "h w"], generator: torch.Generator) -> None:
    """Set irregular strokes to 0, in place."""
    for _ in range(_integer(1, 5, generator)):
        x, y = (GRID * torch.rand(2, generator=generator)).tolist()
        for _ in range(_integer(1, 5, generator)):
            length = _integer(10, 209, generator)
            brush = _integer(5, 104, generator)
            angle = 2 * torch.pi * torch.rand((), generator=generator)
            next_x = min(max(x + length * float(angle.cos()), 0.0), GRID)
            next_y = min(max(y + length * float(angle.sin()), 0.0), GRID)
            _erase_segment(mask, (x, y), (next_x, next_y), brush / 2)
            x, y = next_x, next_y


def erase_rectangles(mask: Float[Tensor, "h w"], generator: torch.Generator) -> None:
    """Set one to four rectangles to 0, in place."""
    for _ in range(_integer(1, 4, generator)):
        width, height = _integer(30, 150, generator), _integer(30, 150, generator)
        left = _integer(10, GRID - 10 - width, generator)
        top = _integer(10, GRID - 10 - height, generator)
        rows = _pixels(top, top + height, mask.shape[0])
        columns = _pixels(left, left + width, mask.shape[1])
        mask[rows, columns] = 0


def erase_half(mask: Float[Tensor, "h w"], generator: torch.Generator) -> None:
    """Set the left, right, upper or lower half to 0, in place."""
    height, width = mask.shape
    side = _integer(0, 3, generator)
    if side == 0:
        mask[:, : width // 2] = 0
    elif side == 1:
        mask[:, width - width // 2 :] = 0
    elif side == 2:
        mask[: height // 2] = 0
    else:
        mask[height - height // 2 :] = 0


def _erase_segment(
    mask: Tensor, start: tuple[float, float], end: tuple[float, float], radius: float
) -> None:
    """Set every pixel whose centre is within `radius` of the segment to 0."""
    height, width = mask.shape
    rows = _pixels(min(start[1], end[1]) - radius, max(start[1], end[1]) + radius, height)
    columns = _pixels(min(start[0], end[0]) - radius, max(start[0], end[0]) + radius, width)
    y = (torch.arange(rows.start, rows.stop)[:, None] + 0.5) * (GRID / height) - start[1]
    x = (torch.arange(columns.start, columns.stop) + 0.5) * (GRID / width) - start[0]
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    # Where on the segment (0 start, 1 end) the nearest point to each pixel lies.
    nearest = (x * along_x + y * along_y) / max(along_x**2 + along_y**2, 1e-6)
    nearest = nearest.clamp(0, 1)
    squared = (x - nearest * along_x) ** 2 + (y - nearest * along_y) ** 2
    mask[rows, columns][squared <= radius**2] = 0


def _pixels(low: float, high: float, count: int) -> slice:
    """The pixels of an axis of `count` whose centres lie in [low, high) of the grid."""
    first = -(-(low * count / GRID - 0.5) // 1)
    last = -(-(high * count / GRID - 0.5) // 1)
    first, last = (min(max(int(edge), 0), count) for edge in (first, last))
    return slice(first, max(first, last))


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """A uniform integer in [low, high]."""
    return int(torch.randint(low, high + 1, (), generator=generator))
