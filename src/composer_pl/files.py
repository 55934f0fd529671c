"""Files that are replaced whole or not at all, and what a disk says when it cannot take them."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DISK = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO")
    if hasattr(errno, name)
}


def beside(target: Path) -> Path:
    """A name in the same folder, with the same suffix, that nobody else writes to.

    Not by the process number alone: two machines that share a folder may have the same one.
    """
    return target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}-{target.name}")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a name to write to; afterwards `path` holds all of it, or what it held before.

    The name lies in the same folder and has the same suffix. What is left of it after a failure is
    removed, which gives a full disk its space back. Who may read it is who may read any new file
    there: safetensors would give its files to their owner alone.
    """
    target = Path(path)
    temporary = beside(target)
    temporary.touch()
    mode = temporary.stat().st_mode
    temporary.unlink()
    try:
        yield temporary
        with suppress(OSError):  # a file system without such rights
            temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def disk_trouble(error: BaseException | None) -> str:
    """Why a disk took no more, from an error or one that it came from; empty for other errors.

    Libraries wrap what the system said (safetensors, torch's zip writer), so causes count too.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK:
            return error.strerror or type(error).__name__
        if "(os error " in str(error):  # as Rust writes it
            number = str(error).rpartition("(os error ")[2].partition(")")[0]
            if number.isdecimal() and int(number) in _DISK:
                return os.strerror(int(number))
        error = error.__cause__ or error.__context__
    return ""
