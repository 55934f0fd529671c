"""Reading an instance map that a person made."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from composer_pl.plugin import UserInputError
from composer_pl_instances.painting import paint_labels

_MOST_CLASSES = 64  # in one picture; photos and soft-edged shapes have more grey levels
_HIGHEST = 9999  # no network knows more classes; higher numbers are levels of brightness


def read_label_map(source: str | Path) -> Float[Tensor, "5 h w"]:
    """Read a PNG of class ids, or a black and white shape.

    Ids: 0 is background, n is class n of the network counted from 1 (1 is person in COCO's order of
    80). A black and white picture (two levels, 0 and the highest of its bits) gives a shape without
    category, which the network of a model has not met in training; prefer ids.

    Raises:
        UserInputError: The file is no such picture; a photo or a soft-edged shape, whose grey
            levels are no ids, is refused too.
    """
    doing = (
        f"Reading {str(source)!r} as an instance map: expected a PNG whose pixels are class ids "
        f"(indexed or grey, 0 is background), or a black and white one, found"
    )
    try:
        with Image.open(source) as file:
            kind, mode = file.format, file.mode
            ids = np.asarray(file)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserInputError(f"{doing} {error}. Next: give the path of a PNG.") from error
    if kind != "PNG":
        raise UserInputError(
            f"{doing} {kind}. A lossy format invents ids along every edge. Next: save as PNG."
        )
    if ids.ndim != 2:
        raise UserInputError(
            f"{doing} colours (mode {mode}). Next: save as an indexed or grey PNG of ids."
        )
    ids = torch.from_numpy(ids.astype(np.int64))
    present = ids.unique().tolist()
    white = {"L": 255, "I": 65535, "I;16": 65535}.get(mode)
    if mode == "1" or (white and set(present) <= {0, white}):
        return paint_labels((ids > 0).long(), torch.tensor([-1]))
    if len(present) > _MOST_CLASSES or not 0 <= present[0] <= present[-1] <= _HIGHEST:
        raise UserInputError(
            f"{doing} {len(present)} different levels from {present[0]} to {present[-1]}, as in a "
            f"photo or a shape with soft edges. Next: save without smoothing, one id a class."
        )
    # Every id is one thing; touching things of one class cannot be told apart in such a file.
    return paint_labels(ids, torch.arange(int(ids.max())))
