"""`composer-pl plugins check`: hold one condition to the contract, a line a check."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from composer_pl.cli.plugin_fetch import with_defaults
from composer_pl.conditions import discovery
from composer_pl.errors import MissingDependencyError, UserInputError

_TEST_FILE = """\
import pytest
from composer_pl.conditions.discovery import load
from composer_pl.plugin.testing import PluginContract

class TestCondition(PluginContract):
    @pytest.fixture
    def plugin(self):
        return load({name!r})()
"""


def check_condition(name: str) -> int:
    """Hold a condition with default settings to the contract through pytest; print a line a check.

    Raises:
        UserInputError: It has no default settings.
        MissingDependencyError: pytest is not installed.
        ComposerPLError: As `discovery.load` raises.
    """
    plugin_class = discovery.load(name, doing=f"Checking the condition {name!r}")
    if with_defaults(plugin_class) is None:
        found = f"{plugin_class.__name__}{inspect.signature(plugin_class)}"
        raise UserInputError(
            f"Checking the condition {name!r}: expected a class that can be built without "
            f"arguments, found {found}. Next: give "
            f"every argument a default, or check one configuration in the package's own tests with "
            f"composer_pl.plugin.testing.PluginContract."
        )
    try:
        import pytest
    except ImportError:
        raise MissingDependencyError(
            "pytest", needed_by="`composer-pl plugins check`", install="pytest"
        ) from None
    from tempfile import TemporaryDirectory

    reporter = _Reporter()
    with TemporaryDirectory() as folder:
        file = Path(folder, f"test_condition_{name}.py")
        file.write_text(_TEST_FILE.format(name=name))
        settings = Path(folder, "pytest.ini")  # not the one of whatever folder the user is in
        settings.write_text("[pytest]\n")
        with _plain_pytest():
            code = pytest.main(
                [
                    str(file),
                    f"-c{settings}",
                    f"--rootdir={folder}",
                    "--import-mode=importlib",
                    *("-p", "no:terminal", "-p", "no:cacheprovider"),
                ],
                plugins=[reporter],
            )
    print(f"{name}: {reporter.summary()}")
    return 0 if code == 0 else 1


@contextmanager
def _plain_pytest() -> Iterator[None]:
    """No options and no pytest plugins of the user's environment, which may want a terminal."""
    ours = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": ""}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Reporter:
    """A pytest plugin that prints one line a check."""

    def __init__(self) -> None:
        self.counts = {"ok": 0, "skip": 0, "FAIL": 0}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest after set-up, call and tear-down of each test."""
        if report.when != "call" and report.outcome == "passed":
            return
        check = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        if report.outcome == "passed":
            state, reason = "ok", ""
        elif report.outcome == "skipped":
            state, reason = "skip", str(report.longrepr[-1]).removeprefix("Skipped: ")
        else:
            crash = getattr(report.longrepr, "reprcrash", None)
            state = "FAIL"
            reason = crash.message if crash else str(report.longrepr)
        self.counts[state] += 1
        reason = " ".join(reason.split())
        print(f"{state:<4}  {check}" + (f": {reason}" if reason else ""))

    def pytest_collectreport(self, report: Any) -> None:
        """Called by pytest after collecting; a failure there is a failed check."""
        if report.failed:
            self.counts["FAIL"] += 1
            print(f"FAIL  collecting the checks: {report.longrepr}")

    def summary(self) -> str:
        """Counts in words."""
        return (
            f"{self.counts['ok']} passed, {self.counts['FAIL']} failed, "
            f"{self.counts['skip']} skipped"
        )
