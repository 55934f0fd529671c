"""Every exception a user can meet, and a warning.

Each message says what was being done, what was expected, what was found, and the one next step.
The command line prints the message alone and exits with code 2; a traceback is for our own bugs.
This file imports nothing but the standard library, so that raising an error is always possible.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known name nearest to `name`, or an empty string."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


class ComposerPLError(Exception):
    """Base of every error that is the user's to mend; its message is complete on its own."""


class TakenForGrantedWarning(UserWarning):
    """What was assumed of a file that does not say it; like errors, complete on its own."""


class UserInputError(ComposerPLError, ValueError):
    """A value given by a person cannot be used: a bad picture, colour, number or combination."""


class ConfigError(ComposerPLError, ValueError):
    """A configuration names something unknown or contradicts itself."""


class UnknownConditionError(ComposerPLError, KeyError):
    """A condition was named that no installed package provides."""

    def __init__(
        self,
        name: str,
        installed: Iterable[str],
        *,
        doing: str,
        package: str = "",
        next_step: str = "",
    ):
        known = sorted(installed)
        hint = nearest(name, known)
        # A misspelt name must not become the name of a package that a stranger may have uploaded,
        # nor a name out of a foreign file an option of pip.
        if not package and not hint and name.isidentifier():
            package = f"composer-pl-{name}"
        install = f"`pip install {package}`" if package else "install the package that provides it"
        super().__init__(
            f"{doing}: no installed package provides the condition {name!r}{hint or '.'} "
            f"Installed: {', '.join(known) or 'none'}. "
            f"Next: {next_step or f'correct the name, or {install}'}."
        )

    def __str__(self) -> str:  # KeyError would show the repr of the message
        """The message itself, without KeyError's quotes."""
        return str(self.args[0])


class BrokenPluginError(ComposerPLError, ImportError):
    """A plugin's entry point failed to import; the original error is chained."""

    def __init__(self, name: str, distribution: str, version: str, original: BaseException):
        super().__init__(
            f"Importing the condition {name!r} from {distribution} {version} failed: "
            f"{type(original).__name__}: {original}. Other conditions are not affected. "
            f"Next: `pip install --upgrade {distribution}`, or leave {name!r} out."
        )


class DuplicatePluginError(ComposerPLError, ValueError):
    """Two installed distributions claim one condition name."""

    def __init__(self, name: str, distributions: Iterable[str]):
        claims = sorted(distributions)
        super().__init__(
            f"Finding the condition {name!r}: exactly one package may provide it, found "
            f"{' and '.join(claims)}. Next: `pip uninstall {claims[-1]}` (or the other one)."
        )


class IncompatiblePluginError(ComposerPLError):
    """A plugin requires another version of composer-pl than the installed one."""

    def __init__(self, name: str, distribution: str, required: str, installed: str):
        super().__init__(
            f"Loading the condition {name!r}: {distribution} requires composer-pl {required}, "
            f"found {installed}. Next: `pip install --upgrade {distribution} composer-pl`."
        )


class MissingDependencyError(ComposerPLError, ImportError):
    """An optional library that a condition or command needs is not installed."""

    def __init__(self, library: str, *, needed_by: str, install: str):
        super().__init__(
            f"{needed_by} needs the library {library!r}, which is not installed. "
            f"Next: `pip install {install}`."
        )


class MissingWeightsError(ComposerPLError, FileNotFoundError):
    """Pretrained weights are absent, or their digest is wrong."""


class RepresentationError(ComposerPLError, ValueError):
    """A condition's value contradicts its declared `RepresentationSpec`."""


class CheckpointError(ComposerPLError, ValueError):
    """A model folder or checkpoint cannot be read, or does not fit the installed plugins."""
