"""Trained models that are shipped inside the package, found by name."""

from pathlib import Path

import composer_pl
from composer_pl.errors import UserInputError, nearest

FOLDER = Path(composer_pl.__file__).parent / "pretrained"
CONFIG = "config.json"
"""File of a model folder with everything but the weights."""
WEIGHTS = "model.safetensors"
"""File of a model folder with the weights."""


def pretrained_names() -> list[str]:
    """The models of this installation, such as `scenes-64`."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CONFIG}"))


def pretrained(name: str) -> Path:
    """The folder of a shipped model, as `load_model` and `Composer.from_pretrained` read it.

    Raises:
        UserInputError: No such model is shipped.
    """
    names = pretrained_names()
    if name not in names:
        raise UserInputError(
            f"Finding the shipped model {name!r}: expected one of {', '.join(names) or 'none'}, "
            f"found no such one{nearest(name, names) or '.'} Next: correct the name, or give a "
            f"model folder or a .ckpt file."
        )
    return FOLDER / name


def model_path(path: str | Path) -> Path:
    """A path as it is where it exists, or else the shipped model of that name.

    Anything else comes back unchanged, for the reader to refuse.
    """
    if not Path(path).exists() and str(path) in pretrained_names():
        return pretrained(str(path))
    return Path(path)
