"""composer-pl: image synthesis with composable conditions (Composer, Huang et al., 2023)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("composer-pl")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
