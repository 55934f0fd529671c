"""composer-pl: image synthesis with composable conditions (Composer, Huang et al., 2023)."""

__version__: str
__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Read the version from package metadata on first use, as that import costs 40 ms."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("composer-pl")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0.0.0"
