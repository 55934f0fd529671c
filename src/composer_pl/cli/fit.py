"""`composer-pl fit | validate | test | predict`: LightningCLI with our defaults and messages.

LightningCLI is used for what it is good at, typed options from constructors; the trainer's method
is called here, so that one parser is built instead of four.
"""

import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch and Lightning are imported when a command runs
    from composer_pl.cli.training import ComposerCLI

SHORT_HELP = {
    "fit": "train a model from a configuration",
    "validate": "compute the validation losses of a checkpoint",
    "test": "compute the test losses of a checkpoint",
    "predict": "sample with the conditions of a data set",
}
"""Command -> one line of help."""

_IGNORED = (
    # What a user cannot act on, one place for all of it.
    r".*does not have many workers which may be a bottleneck.*",
    r".*dataloader is not resumable.*",
    r".*your dataloader is\s+not resumable.*",
    r"The number of training batches .* is smaller than the logging interval.*",
    r".*treespec, LeafSpec.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r"You are using a custom batch sampler .* for prediction.*",
    r".*It is recommended to use `self.log\(.*sync_dist=True\)`.*",
)


def run(command: str, argv: list[str]) -> int:
    """Run one of the four commands.

    Args:
        command: `fit`, `validate`, `test` or `predict`.
        argv: The words after it, as LightningCLI takes them; `--help-all` lists every option.

    Returns:
        The exit code: 0, or 128 + n when stopped by signal n after saving.

    Raises:
        ComposerPLError: What the user can mend.
    """
    from composer_pl.cli.training import train

    quieten()  # after the import: Lightning sets its loggers' levels then
    return train(command, ["--help" if word == "--help-all" else word for word in argv])


def configured(argv: list[str], *, prog: str) -> "ComposerCLI":
    """Parse a configuration without building anything; used by `plan` and by tests."""
    from composer_pl.cli.training import ComposerCLI

    quieten()
    return ComposerCLI("plan", argv, prog=prog)


def quieten() -> None:
    """Drop the remarks of libraries that nobody can act on."""
    for pattern in _IGNORED:
        warnings.filterwarnings("ignore", message=pattern)
    # Lightning calls a method of jsonargparse by its old name.
    warnings.filterwarnings(
        "ignore", category=DeprecationWarning, module=r"(lightning\.pytorch\.cli|jsonargparse).*"
    )
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    ours = logging.getLogger("composer_pl")
    if not ours.handlers:
        ours.addHandler(_Lines())
        ours.setLevel(logging.INFO)
        ours.propagate = False


class _Lines(logging.Handler):
    """Prints what our own modules log, one line each, on what stderr is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        say(record.getMessage())


def run_folder(default_root_dir: str | None, configs: list[str]) -> Path:
    """Where a run writes: `trainer.default_root_dir`, or `runs/` and the last config's name."""
    if default_root_dir:
        return Path(default_root_dir)
    return Path("runs") / (Path(configs[-1]).stem if configs else "unnamed")


def say(line: str) -> None:
    """One line for the user, on stderr."""
    print(line, file=sys.stderr, flush=True)
