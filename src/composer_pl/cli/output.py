"""The folder that a command writes to: looked at before the work, and when something goes wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from composer_pl.errors import UserInputError


def check_output(path: str) -> Path:
    """Refuse, before minutes of work, a folder that cannot be written to; nothing is made yet.

    Raises:
        UserInputError: The folder, or the one that it would be made in, is none or is closed.
    """
    folder = Path(path)
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise _refusal(folder, f"{existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _refusal(folder, f"{existing} may not be written to")
    return folder


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder and write into it; a full disk, say, is one line.

    Raises:
        UserInputError: Something could not be written.
    """
    from safetensors import SafetensorError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, SafetensorError) as error:
        raise _refusal(folder, getattr(error, "strerror", None) or str(error)) from error


def _refusal(folder: Path, found: str) -> UserInputError:
    return UserInputError(
        f"Writing to the folder {str(folder)!r}: expected one that can be made and written to, "
        f"found: {found}. Next: give another --out."
    )
