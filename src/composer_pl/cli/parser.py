"""An argparse parser whose errors are one line with the nearest name, and that never guesses."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from composer_pl.errors import UserInputError, nearest
from composer_pl.seeds import SEEDS


def seed_value(text: str) -> int:
    """A seed as an option gives it.

    Raises:
        argparse.ArgumentTypeError: It is no whole number of 64 bits.
    """
    least, most = SEEDS
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:
        found = text if len(text) <= 40 else f"{text[:40]}..."
        raise argparse.ArgumentTypeError(
            f"expected a whole number from {least} to {most}, found {found!r}"
        )
    return number


class ComposerParser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` without abbreviations, raising `UserInputError`.

    Subparsers made by `add_subparsers` are of this class too.
    """

    def __init__(self, **options: Any):  # argparse's own, which differ between versions of Python
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage; the router prints and answers exit code 2.

        Raises:
            UserInputError: Always.
        """
        end = "" if message.endswith("?") else "."
        raise UserInputError(f"{self.prog}: {message}{end} Next: `{self.prog} --help`.")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, refusing what is unknown at the level that knows the legal names.

        A subparser is called through this method, so its unknown options are named here, with the
        nearest of its own.
        """
        parsed = argparse.Namespace() if namespace is None else namespace
        _, unknown = super().parse_known_args(args, parsed)
        if unknown:
            name = unknown[0].partition("=")[0]
            if name.startswith("-"):
                legal = [option for action in self._actions for option in action.option_strings]
                self.error(f"unknown option {name!r}{nearest(name, legal)}")
            self.error(f"expected no further argument, found {name!r}")
        return parsed, []

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is not among the choices, with the nearest one."""
        choices = action.choices
        if choices is not None and value not in choices:
            legal = [str(choice) for choice in choices]
            raise argparse.ArgumentError(
                action,
                f"expected one of {', '.join(legal)}, found {value!r}{nearest(str(value), legal)}",
            )
