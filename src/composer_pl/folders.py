"""Folders outside of a project that composer-pl uses. Standard library only."""

import os
from pathlib import Path


def weights_folder() -> Path:
    """Return the cache folder: `COMPOSER_PL_CACHE`, else the XDG cache. It need not exist."""
    own = os.environ.get("COMPOSER_PL_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "composer-pl" / "weights"
