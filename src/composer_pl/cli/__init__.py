"""The command line: route the first word to the module that runs it.

A command's module is imported only when the command runs, and imports torch only inside `run`, so
that help and listings answer at once (performance target G7). A module has `HELP: str`,
`add_arguments(parser)` and `run(args) -> int`; the four commands of LightningCLI take the raw
arguments instead. An error that is the user's to mend prints its message alone, exit code 2;
`COMPOSER_PL_DEBUG=1` adds the traceback.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from composer_pl.errors import ComposerPLError, TakenForGrantedWarning, UserInputError, nearest

COMMANDS = {
    "fit": ("composer_pl.cli.fit", "train a model from a configuration"),
    "validate": ("composer_pl.cli.fit", "compute the validation losses of a checkpoint"),
    "test": ("composer_pl.cli.fit", "compute the test losses of a checkpoint"),
    "predict": ("composer_pl.cli.fit", "sample with the conditions of a data set"),
    "plan": ("composer_pl.cli.plan", "parameters, memory and cost of a configuration"),
    "plugins": ("composer_pl.cli.plugins", "list, show, fetch and check conditions"),
    "decompose": ("composer_pl.cli.decompose", "take pictures apart into their conditions"),
    "compose": ("composer_pl.cli.compose", "compose pictures from conditions of several"),
    "edit": ("composer_pl.cli.edit", "the paper's tasks, from variation to virtual try-on"),
    "reproduce": ("composer_pl.cli.reproduce", "make a picture again from its own record"),
    "scenes": ("composer_pl.cli.scenes", "render scenes with captions, depth and instances"),
    "eval": ("composer_pl.cli.eval", "measure a model"),
    "golden": ("composer_pl.cli.golden", "hold a training run against a shipped reference"),
    "demo": ("composer_pl.cli.demo", "decompose, compose, edit and train: one page in minutes"),
    "doctor": ("composer_pl.cli.doctor", "what works on this machine, and what mends the rest"),
}
"""Command -> (module, one line of help)."""

RAW = ("fit", "validate", "test", "predict")
"""Commands whose arguments LightningCLI parses."""

_RAW_HELP = """\
usage: composer-pl {name} --config FILE [--config FILE ...] [--SECTION.OPTION VALUE ...]

{help}.

options:
  --config FILE           YAML configuration; a later one overrides an earlier one
  --SECTION.OPTION VALUE  override one option, such as --trainer.max_steps 100,
                          --data.root DIR or --model.conditions.depth.drop_prob 0.3
  --ckpt_path PATH        continue from (or use) a checkpoint; `last` is the newest, `auto` too
                          but starts anew where there is none
  --print_config          print the whole configuration and exit
  -h, --help              this text
  --help-all              every option with its default (imports torch)
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        argv: Words after the program's name; those of the process when None.

    Returns:
        0 on success, 2 for what the user can mend, 130 when interrupted.
    """
    try:
        with _plain_warnings():
            code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
        return code
    except ComposerPLError as error:
        if os.environ.get("COMPOSER_PL_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        else:
            print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` say, has gone: nobody is left to complain to
        _silence_output()
        return 1
    except SystemExit as end:  # help, and parsers of libraries
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """What is taken for granted of a person's file is one line, once, without our own place."""
    before, told = warnings.showwarning, set[str]()

    def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
        if issubclass(category, TakenForGrantedWarning):
            if str(message) not in told:
                print(message, file=sys.stderr)
            told.add(str(message))
        else:
            before(message, category, *where)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    name, rest = words[0], words[1:]
    if name == "--version":
        from composer_pl import __version__

        print(f"composer-pl {__version__}")
        return 0
    if name not in COMMANDS:
        raise UserInputError(
            f"Reading the command line: expected a command ({', '.join(COMMANDS)}), found {name!r}"
            f"{nearest(name, COMMANDS) or '.'} Next: `composer-pl --help`."
        )
    module_name, line = COMMANDS[name]
    if name in RAW:
        if "-h" in rest or "--help" in rest:
            print(_RAW_HELP.format(name=name, help=line[0].upper() + line[1:]), end="")
            return 0
        return import_module(module_name).run(name, rest)
    from composer_pl.cli.parser import ComposerParser

    module = import_module(module_name)
    parser = ComposerParser(prog=f"composer-pl {name}", description=module.HELP)
    module.add_arguments(parser)
    return module.run(parser.parse_args(rest))


def _silence_output() -> None:
    """Let the interpreter flush what is left of standard output to nowhere at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except OSError:  # an output without a file, as in tests
        pass


def _help() -> str:
    lines = [
        "usage: composer-pl COMMAND ...",
        "",
        "Image synthesis with composable conditions (Composer, Huang et al., 2023).",
        "",
        "commands:",
    ]
    lines += [f"  {name:<10} {line}" for name, (_, line) in COMMANDS.items()]
    lines += ["", "options:", "  -h, --help   this text; COMMAND --help for one command"]
    lines += ["  --version    the installed version"]
    return "\n".join(lines)
