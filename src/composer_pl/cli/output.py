"""The folder that a command writes to: looked at before the work, and when something goes wrong."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from composer_pl.errors import ComposerPLError, UserInputError
from composer_pl.files import disk_trouble


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
        reason = disk_trouble(error) or getattr(error, "strerror", None) or str(error)
        raise _refusal(folder, reason) from error


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """While a run writes its record, metrics and pictures: a full disk is one line.

    The thread that writes TensorBoard's events would print a traceback of its own; the same error
    comes back from the next event.

    Raises:
        UserInputError: The disk of the run folder took no more.
        ComposerPLError: What had gone wrong before the way out met the full disk as well.
    """
    before = threading.excepthook
    threading.excepthook = lambda failure: None if disk_trouble(failure[1]) else before(failure)
    try:
        yield
    except ComposerPLError:
        raise
    except Exception as error:
        if not (reason := disk_trouble(error)):
            raise
        # Lightning closes its loggers on the way out, whose error would hide the first.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ComposerPLError):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise UserInputError(
            f"Writing to the run folder {str(folder)!r}: a disk that takes it was expected, found: "
            f"{reason}. The checkpoints written so far are whole. Next: free space there, then go "
            f"on with --ckpt_path last."
        ) from error
    finally:
        threading.excepthook = before


def _refusal(folder: Path, found: str) -> UserInputError:
    return UserInputError(
        f"Writing to the folder {str(folder)!r}: expected one that can be made and written to, "
        f"found: {found}. Next: give another --out."
    )
