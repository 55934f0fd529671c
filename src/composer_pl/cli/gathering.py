"""Parts, values and sizes as command lines name them; for `compose` and `edit`."""

import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from composer_pl.errors import UserInputError

if TYPE_CHECKING:
    from composer_pl.composing.composer import Composer
    from composer_pl.composing.parts import Parts
    from composer_pl.models.recipe import SamplingRecipe
    from composer_pl.models.tiling import Tiling


def gathered(
    composer: "Composer",
    source: str | Path,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    caption: str = "",
    doing: str = "Reading parts",
) -> "Parts":
    """Parts of a photo or of a `parts.safetensors`.

    Args:
        composer: Its extractors take photos apart.
        source: The file.
        names: Which parts; None takes all, and tells on standard error what cannot be extracted.
        seed: Of conditions that draw at random.
        caption: Text that goes with a photo.
        doing: Begins the message about an unknown name.

    Raises:
        UnknownConditionError: The model does not know a name.
        UserInputError: There is no such file, or it holds no such part.
    """
    from composer_pl.composing.mistakes import UnknownToModelError
    from composer_pl.composing.parts import Parts

    for name in names or ():
        if name not in composer.names:
            raise UnknownToModelError(name, composer.names, doing=doing)
    if str(source).endswith(".safetensors"):
        loaded = Parts.load(source)
        return loaded if names is None else loaded.only(*names, origin=str(source))
    if names is not None:
        return composer.decompose(source, names=names, caption=caption, seed=seed)
    found, missing = composer.decomposer.decompose_available(source, caption=caption, seed=seed)
    for name, error in missing.items():
        print(f"{name} of {source} is left out: {error}", file=sys.stderr)
    return found


def given(composer: "Composer", option: str, text: str) -> "Parts":
    """The part that a text such as `color=#0b3d91,#fff` or `sketch=drawing.png` gives by hand.

    Raises:
        UnknownConditionError: The model does not know the condition.
        UserInputError: There is no `=`, or the value is no legal one.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise UserInputError(
            f"Reading {option} {text!r}: expected NAME=VALUE, such as color=#0b3d91,#fff. "
            f"Next: correct it."
        )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        part = composer.read(name.strip(), value)
    for warning in told:  # what a plugin takes for granted about a file, such as its polarity
        print(warning.message, file=sys.stderr)
    return part


def parse_size(text: str) -> tuple[int, int] | None:
    """Read `64x96` as height and width; nothing is None.

    Raises:
        UserInputError: It is something else.
    """
    if not text:
        return None
    sides = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text.strip().lower())
    if sides is None:
        raise UserInputError(
            f"Reading --size {text!r}: expected height x width, such as 64x96. Next: correct it."
        )
    return int(sides[1]), int(sides[2])


def tell_progress(step: int, steps: int) -> None:
    """One line on standard error that overwrites itself."""
    print(f"\rstep {step}/{steps}", end="\n" if step == steps else "", file=sys.stderr, flush=True)


def upsampling_recipe(
    steps: int | None, upsampler: Sequence[str] | None
) -> "SamplingRecipe | None":
    """The upsampler's recipe of `--upsampler-steps`; None is the default.

    Raises:
        UserInputError: There are steps and no upsampler.
    """
    from dataclasses import replace

    from composer_pl.models.upsampling import UPSAMPLING

    if steps is None:
        return None
    if upsampler is None:
        raise UserInputError(
            "Reading the options of the command: --upsampler-steps needs an --upsampler, found "
            "none. Next: add --upsampler FOLDER, or leave --upsampler-steps out."
        )
    return replace(UPSAMPLING, steps=steps)


def tiling_option(side: int | None, upsampler: Sequence[str] | None) -> "Tiling | None":
    """The tiles of `--tile`; None is whole pictures.

    Raises:
        UserInputError: There are tiles and no upsampler, or they cannot be.
    """
    from composer_pl.models.tiling import Tiling

    if side is None:
        return None
    if upsampler is None:
        raise UserInputError(
            "Reading the options of the command: --tile needs an --upsampler, found none. Next: "
            "add --upsampler FOLDER, or leave --tile out."
        )
    return Tiling(side=side, overlap=max(side // 4, 4))


def assignments(option: str, texts: Sequence[str], example: str) -> dict[str, str]:
    """Read texts of the form `NAME=VALUE`, each name once.

    Raises:
        UserInputError: A text is malformed, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and name and value):
            raise UserInputError(
                f"Reading {option} {text!r}: expected NAME=VALUE, such as {example}. "
                f"Next: correct it."
            )
        if name in found:
            raise UserInputError(
                f"Reading {option} {text!r}: {name} was given before as {found[name]!r}. "
                f"Next: leave one out."
            )
        found[name] = value
    return found


def numbers(option: str, texts: Sequence[str]) -> dict[str, float]:
    """Read texts of the form `NAME=NUMBER`, each name once.

    Raises:
        UserInputError: A text is malformed, or a name is given twice.
    """
    found = {}
    for name, value in assignments(option, texts, "sketch=0.5").items():
        try:
            found[name] = float(value)
        except ValueError:
            raise UserInputError(
                f"Reading {option} {name}={value}: expected a number, such as sketch=0.5. "
                f"Next: correct it."
            ) from None
    return found
