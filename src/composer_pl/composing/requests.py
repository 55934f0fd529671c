"""Requests to a composer, held against its model before anything is drawn."""

from collections.abc import Iterable
from math import lcm

from torch import Tensor

from composer_pl.composing.cascade import Cascade
from composer_pl.composing.mistakes import UnknownToModelError
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.regions import region_map
from composer_pl.seeds import SEEDS

MAX_PICTURES = 10_000
"""Most pictures of one call; more are several calls with several seeds."""
MAX_ENLARGEMENT = 16
"""Longest side of a picture as a multiple of the side that the model was trained at."""


def check_request(
    model: ComposerModel, cascade: Cascade, *, n: int, size: tuple[int, int], seed: int = 0
) -> None:
    """Refuse a number, size or seed of pictures that cannot be drawn.

    Args:
        model: That draws.
        cascade: That enlarges.
        n: How many.
        size: Height and width before enlarging.
        seed: Of their noise.

    Raises:
        UserInputError: It is one.
    """
    if not SEEDS[0] <= seed <= SEEDS[1]:
        raise UserInputError(
            f"Composing a picture: the seed must be a whole number from {SEEDS[0]} to {SEEDS[1]}, "
            f"found one of {len(str(abs(seed)))} digits. Next: correct it."
        )
    if not 1 <= n <= MAX_PICTURES:
        raise UserInputError(
            f"Composing a picture: n must be at least 1 and at most {MAX_PICTURES}, found {n}. "
            f"Next: correct it; several seeds give more pictures."
        )
    multiple = lcm(model.config.side_multiple, cascade.side_multiple())
    most = MAX_ENLARGEMENT * model.config.resolution
    if any(side % multiple or not multiple <= side <= most for side in size):
        raise UserInputError(
            f"Composing a picture: both sides must be multiples of {multiple} up to {most}, "
            f"found {size[0]}x{size[1]}. Next: correct the size."
        )


def check_conditions(
    recipe: SamplingRecipe,
    *,
    given: Iterable[str],
    known: Iterable[str],
    size: tuple[int, int] | None = None,
) -> None:
    """Refuse a recipe that says how much a condition counts which is not given.

    Args:
        recipe: What is looked at.
        given: Conditions that have a part.
        known: Conditions of the model.
        size: Height and width of the pictures, which regions must fit; None leaves them unread.

    Raises:
        UnknownConditionError: The model does not know it.
        UserInputError: No part of it is given, or its region is none.
    """
    given, known = list(given), list(known)
    for name, own in recipe.conditions.items():
        if name not in known:
            raise UnknownToModelError(name, known, doing="Reading the sampling recipe")
        if name not in given:
            raise UserInputError(
                f"Reading the sampling recipe: it says how much {name!r} counts, found no part of "
                f"it among {', '.join(given) or 'none'}. Next: give that part, or take "
                f"conditions.{name} out of the recipe."
            )
        if size is not None:
            region_map(own.region, size)


def check_noise(noise: Tensor, n: int, size: tuple[int, int]) -> None:
    """Refuse noise that does not fit the pictures.

    Raises:
        UserInputError: Its shape is another, or it holds NaN.
    """
    shape = tuple(noise.shape)
    if shape[1:] != (3, *size) or shape[0] not in (1, n) or not bool(noise.isfinite().all()):
        raise UserInputError(
            f"Composing a picture from given noise: expected finite numbers, 1 or {n} x 3 x "
            f"{size[0]} x {size[1]}, found shape {' x '.join(map(str, shape))}. "
            f"Next: give what `invert` answered for this size."
        )
