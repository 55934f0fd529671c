"""Bring one file of weights into the cache: bounded retries, digest check, atomic rename."""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from composer_pl.errors import MissingWeightsError
from composer_pl.files import replacing
from composer_pl.plugin.digests import file_digest
from composer_pl.plugin.weights import WeightSpec, human_size

_ATTEMPTS = 3
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class _NetworkError(Exception):
    """Reading from the connection failed; told apart from writing to the disk."""


def store(
    spec: WeightSpec,
    address: str,
    target: Path,
    *,
    condition: str,
    progress: Callable[[int, int], None] | None = None,
    pause: float = 1.0,
) -> str:
    """Download `address` to `target` and return its sha256.

    The bytes go to a temporary name in the target's folder and are renamed after the digest is
    right and the data is on disk, so that an interruption never leaves half a file under the name.

    Args:
        spec: What is expected.
        address: An https, http or file address. Plain http is refused when no digest is known.
        target: The final name; another file that is there is moved to `NAME.wrong`.
        condition: Entry-point name of the plugin, for messages.
        progress: Called with (bytes so far, bytes in all; 0 when unknown).
        pause: Seconds before the second attempt, doubled before the third.

    Raises:
        MissingWeightsError: Offline, refused, wrong digest, disk full or no permission.
    """
    doing = f"Fetching weights of the condition {condition!r}, {spec.name} from {address}"
    scheme = urllib.parse.urlsplit(address).scheme
    if scheme not in ("https", "file") and not (scheme == "http" and spec.sha256):
        raise MissingWeightsError(
            f"{doing}: expected an https address, found {scheme or 'none'}. "
            f"Next: get the file by hand and put it at {target}."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            digest = _download(spec, address, part, doing, target, progress, pause)
            if spec.sha256 and digest != spec.sha256:
                if scheme == "file":  # the user's own, which is left alone
                    outcome = "nothing was copied. Next: name the right file"
                else:
                    outcome = (
                        f"the download was thrown away. Next: try again later, or get the right "
                        f"file by hand and put it at {target}"
                    )
                raise MissingWeightsError(
                    f"{doing}: expected sha256 {spec.sha256}, found {digest} "
                    f"({part.stat().st_size} bytes); {outcome}."
                )
            if target.exists() and not _holds(target, digest):  # a rival may have been first
                os.replace(target, target.with_name(f"{target.name}.wrong"))
        _sync_folder(target.parent)
    except MissingWeightsError:
        raise
    except OSError as error:
        raise MissingWeightsError(
            f"{doing}: writing {target} ({human_size(spec.size)}) failed: {error.strerror}. "
            f"Next: free space or correct permissions there, or name another folder with the "
            f"environment variable COMPOSER_PL_CACHE."
        ) from error
    return digest


def _download(
    spec: WeightSpec,
    address: str,
    part: Path,
    doing: str,
    target: Path,
    progress: Callable[[int, int], None] | None,
    pause: float,
) -> str:
    """Try up to three times; errors of the network become MissingWeightsError."""
    by_hand = f"or get the file by hand and put it at {target}"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _stream(spec, address, part, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _TRANSIENT and attempt < _ATTEMPTS:
                time.sleep(pause * 2 ** (attempt - 1))
                continue
            raise MissingWeightsError(
                f"{doing}: the server answered {error.code} {error.reason}. "
                f"Next: try again later, {by_hand}."
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, _NetworkError) as error:
            reason = getattr(error, "reason", None) or error
            if address.startswith("file:"):
                cause = getattr(reason, "strerror", None) or reason
                raise MissingWeightsError(
                    f"{doing}: reading failed: {cause}. Next: correct the path."
                ) from error
            if attempt < _ATTEMPTS:
                time.sleep(pause * 2 ** (attempt - 1))
                continue
            raise MissingWeightsError(
                f"{doing}: no connection after {_ATTEMPTS} attempts ({reason}). "
                f"Next: check the network, {by_hand}."
            ) from error
    raise AssertionError("unreachable")


def _stream(
    spec: WeightSpec,
    address: str,
    part: Path,
    progress: Callable[[int, int], None] | None,
) -> str:
    """One attempt: write `part`, bring it to the disk, return its sha256."""
    digest = hashlib.sha256()
    request = urllib.request.Request(address, headers={"User-Agent": "composer-pl"})
    try:
        reply = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.URLError:
        raise
    except OSError as error:  # a reset or a timeout after the connection stood
        raise _NetworkError(str(error)) from error
    if not spec.sha256 and urllib.parse.urlsplit(reply.url).scheme == "http":
        reply.close()
        raise urllib.error.URLError(f"redirected to {reply.url}, which nothing protects")
    with reply, part.open("wb") as file:
        announced = int(reply.headers.get("Content-Length") or 0)
        done = 0
        while True:
            try:
                chunk = reply.read(_CHUNK)
            except OSError as error:
                raise _NetworkError(str(error)) from error
            if not chunk:
                break
            digest.update(chunk)
            file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, announced or spec.size)
        if announced and done < announced:
            raise _NetworkError(f"{done} of {announced} bytes arrived")
        file.flush()
        os.fsync(file.fileno())  # before a file of that name is moved aside
    return digest.hexdigest()


def _holds(path: Path, digest: str) -> bool:
    """Whether a file has this digest; one that cannot be read has not."""
    try:
        return file_digest(path) == digest
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
