"""Optional libraries, imported where they are used, with an error that says what to install."""

from importlib import import_module
from types import ModuleType

from composer_pl.errors import MissingDependencyError


def require(library: str, *, needed_by: str, install: str) -> ModuleType:
    """Import and return `library`.

    Args:
        library: Module name.
        needed_by: What needs it, for the message: "The condition 'depth'".
        install: What to give to `pip install`.

    Raises:
        MissingDependencyError: The library, or something that it imports, is absent.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        missing = error.name or library
        raise MissingDependencyError(missing, needed_by=needed_by, install=install) from error
