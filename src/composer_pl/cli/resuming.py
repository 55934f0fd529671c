"""Which checkpoint a command starts from, and what is said when a run is stopped or finished."""

import os
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

from composer_pl.cli.fit import say
from composer_pl.errors import UserInputError
from composer_pl.systems.checkpoints import FOLDER, find_last, list_checkpoints, step_of
from composer_pl.systems.previews import FOLDER as SAMPLES

AUTO = "auto"
"""Value of `ckpt_path`: the newest checkpoint of the run folder, or none where there is none."""
LAST = "last"
"""Value of `ckpt_path`: the newest checkpoint of the run folder, which must be there."""


def checkpoint_of(command: str, given: str | None, folder: Path) -> str | None:
    """Resolve `ckpt_path`.

    Args:
        command: `fit`, which may start without one, or an evaluation, which may not.
        given: A file, `last`, `auto` or None.
        folder: The run folder.

    Raises:
        UserInputError: An evaluation has none, or the file does not exist.
        CheckpointError: `last` finds nothing, or `auto` finds damaged files alone.
    """
    if given is None:
        if command == "fit":
            return None
        raise UserInputError(
            f"Running {command}: a trained model was expected, found no --ckpt_path. "
            f"Next: give --ckpt_path FILE, or --ckpt_path last for the newest of {folder}."
        )
    if given == AUTO and command == "fit" and not list_checkpoints(folder / FOLDER):
        return None
    if given in (AUTO, LAST):
        return str(find_last(folder, say))
    if not os.path.isfile(given):
        raise UserInputError(
            f"Reading --ckpt_path {given}: a checkpoint file was expected, found none. "
            f"Next: correct the path, or use --ckpt_path last."
        )
    return given


def finished(given: str | None, ckpt: str | None, max_steps: int, folder: Path) -> str:
    """What to say instead of training when the run has reached its last step; empty if it has not.

    Args:
        given: `ckpt_path` as it was given; a named file is trusted to be wanted.
        ckpt: The checkpoint that was found.
        max_steps: `trainer.max_steps`; below 1 there is no last step.
        folder: The run folder.
    """
    if given not in (AUTO, LAST) or ckpt is None or max_steps < 1:
        return ""
    step = step_of(Path(ckpt))
    if step < max_steps:
        return ""
    return (
        f"The run in {folder} is finished: step {step} of {max_steps}, pictures in "
        f"{folder / SAMPLES}. Next: compose with --ckpt {ckpt}, train longer with "
        f"--trainer.max_steps {2 * max_steps}, or anew with --trainer.default_root_dir DIR."
    )


def how_to_go_on(number: int, step: int, max_steps: int, argv: Sequence[str], auto: bool) -> str:
    """One line after a signal stopped a run.

    Args:
        number: The signal.
        step: The step that was saved.
        max_steps: `trainer.max_steps`; below 1 there is no last step.
        argv: The words after `fit`.
        auto: Whether the configuration goes on by itself.
    """
    by = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    words = list(argv)
    if not auto:
        words = [*_without(words, "--ckpt_path"), "--ckpt_path", LAST]
    of = f" of {max_steps}" if max_steps > 0 else ""
    command = shlex.join(["composer-pl", "fit", *words])
    return f"Stopped by {by} and saved at step {step}{of}. To go on: {command}"


def _without(words: Sequence[str], option: str) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == option:
            skip = True
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept
