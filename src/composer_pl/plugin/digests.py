"""Digests of files in the cache, computed once for each state of a file and remembered beside them.

A state is size and time of change. Records lie in `<cache>/.checked/*.json`; a cache that cannot be
written only costs the time to compute them again.
"""

import hashlib
import json
import logging
from pathlib import Path

from composer_pl.files import replacing
from composer_pl.folders import weights_folder

logger = logging.getLogger(__name__)


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record_path(path: Path) -> Path:
    folder = weights_folder()
    name = path.name
    if path.parent != folder:  # a file elsewhere: its whole path tells it apart
        name += "-" + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return folder / ".checked" / f"{name}.json"


def remembered(path: Path, *, fresh_only: bool = True) -> dict[str, str]:
    """What was remembered of a file, empty when nothing was or when the file changed since."""
    try:
        record = json.loads(_record_path(path).read_text())
        state = path.stat()
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or not isinstance(record.get("sha256"), str):
        return {}
    if fresh_only and record.get("state") != [state.st_size, state.st_mtime_ns]:
        return {}
    return record


def remember(path: Path, digest: str, *, made_of: str = "") -> None:
    """Write what is known of a file; a folder that cannot be written only costs time later."""
    record = _record_path(path)
    state = path.stat()
    value = {
        "sha256": digest,
        "made_of": made_of,
        "state": [state.st_size, state.st_mtime_ns],
    }
    if remembered(path) == value:
        return
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with replacing(record) as part:
            part.write_text(json.dumps(value))
    except OSError:
        logger.debug("The digest of %s could not be remembered in %s.", path, record.parent)
