import subprocess
import sys
import types

import pytest

from composer_pl import __version__, cli
from composer_pl.errors import ConfigError

HEAVY = ("torch", "lightning", "numpy", "jsonargparse", "PIL")


@pytest.fixture
def command(monkeypatch):
    """`command(run)` makes `composer-pl try` call a function; its option is --count."""

    def make(run):
        module = types.ModuleType("command_of_a_test")
        module.HELP = "A command of a test."
        module.add_arguments = lambda parser: parser.add_argument("--count", type=int, default=1)
        module.run = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "try", (module.__name__, "a test"))

    return make


def test_help_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in cli.COMMANDS)


def test_no_command_shows_the_help_and_fails(capsys):
    assert cli.main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"composer-pl {__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fti"], "did you mean 'fit'?"),
        (["plugin"], "did you mean 'plugins'?"),
        (["xyzzy"], "found 'xyzzy'. Next"),
        (["--verbose"], "found '--verbose'"),
        (["try", "--cuont", "3"], "unknown option '--cuont'; did you mean '--count'?"),
        (["try", "--cou", "3"], "unknown option '--cou'"),
        (["try", "--count", "three"], "invalid int value: 'three'"),
        (["try", "more"], "expected no further argument, found 'more'"),
        (["plugins", "shw", "x"], "did you mean 'show'?"),
        (["plugins", "list", "--jsn"], "did you mean '--json'?"),
        (["plugins"], "ACTION"),
    ],
)
def test_a_misspelt_word_is_one_line_with_the_nearest_name(command, capsys, words, expected):
    command(lambda args: 0)
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert expected in shown.err
    assert shown.err.count("\n") == 1
    assert "Next: " in shown.err
    assert shown.out == ""


def test_arguments_reach_the_command_and_its_code_comes_back(command):
    command(lambda args: args.count + 3)
    assert cli.main(["try", "--count", "4"]) == 7


def test_a_users_error_is_its_message_alone(command, capsys):
    def run(args):
        raise ConfigError("Doing this: expected that. Next: mend it.")

    command(run)
    assert cli.main(["try"]) == 2
    assert capsys.readouterr().err == "Doing this: expected that. Next: mend it.\n"


def test_debugging_shows_the_traceback(command, capsys, monkeypatch):
    def run(args):
        raise ConfigError("wrong")

    command(run)
    monkeypatch.setenv("COMPOSER_PL_DEBUG", "1")
    assert cli.main(["try"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 1),
        (SystemExit(4), 4),
        (SystemExit(None), 0),
        (SystemExit("said why"), 1),
    ],
)
def test_endings_become_exit_codes(command, capsys, ending, code):
    def run(args):
        raise ending

    command(run)
    assert cli.main(["try"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_of_ours_keeps_its_traceback(command):
    def run(args):
        raise ZeroDivisionError

    command(run)
    with pytest.raises(ZeroDivisionError):
        cli.main(["try"])


@pytest.mark.parametrize("name", cli.RAW)
def test_training_commands_hand_their_words_over_untouched(monkeypatch, name):
    seen = []
    module = types.ModuleType("composer_pl.cli.fit")
    module.run = lambda name, words: seen.append((name, words)) or 5
    monkeypatch.setitem(sys.modules, "composer_pl.cli.fit", module)
    assert cli.main([name, "--config", "x.yaml", "--help-all"]) == 5
    assert seen == [(name, ["--config", "x.yaml", "--help-all"])]


def test_short_help_of_every_command_loads_nothing_heavy():
    code = (
        "import sys; from composer_pl.cli import main, COMMANDS\n"
        "codes = [main(['--help']), main(['plugins', 'list', '--json'])]\n"
        "codes += [main([name, '--help']) for name in COMMANDS]\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(codes, loaded, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == f"{[0] * (2 + len(cli.COMMANDS))} []"


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "composer_pl", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"composer-pl {__version__}\n"


def test_a_closed_pipe_is_quiet():
    program = f"{sys.executable} -m composer_pl --help | true"
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
