"""No test reaches a network: sockets to anything but this machine raise, and are counted.

`network()` guards this process; tests/conftest.py and plugins/conftest.py wrap every test in it.
`run("decompose", ...)` runs a command of composer-pl in a process that is guarded as well, and
raises when it tried. Where namespaces are to be had, that process has no network at all, which also
holds for libraries that open sockets outside of Python.
"""

import ipaddress
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
LOG = "COMPOSER_PL_TEST_NETWORK_LOG"
"""Environment variable with the file in which a guarded process notes what it tried to reach."""


class BlockedNetworkError(RuntimeError):
    """Something asked for a network; no OSError, which libraries take for a bad connection."""


def is_local(host):
    """Whether an address or name means this machine."""
    if host is None or host in ("", "localhost", b"localhost", socket.gethostname()):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


CURRENT: list[str] = []
"""What the running test asked for."""


@contextmanager
def guarded_test() -> Iterator[None]:
    """What the fixture around every test does: block, and fail the test when it asked.

    Libraries may swallow the refusal, so it is counted as well.
    """
    CURRENT.clear()
    with network(CURRENT):
        yield
    if CURRENT:
        raise BlockedNetworkError(f"this test asked for {', '.join(CURRENT)}")


@contextmanager
def network(attempts: list[str] | None = None) -> Iterator[list[str]]:
    """Block sockets of this process; yields what was asked for, which should stay empty."""
    attempts = [] if attempts is None else attempts
    before = [(place, name, getattr(place, name)) for place, name in _GUARDED]
    try:
        install(attempts.append)
        yield attempts
    finally:
        for place, name, function in before:
            setattr(place, name, function)


def install(note) -> None:
    """Put the guards in place; `note` is told each host that is refused."""

    def refuse(host):
        note(str(host))
        raise BlockedNetworkError(f"a test asked for the network: {host}")

    def of_address(name):
        original = getattr(socket.socket, name)

        def guarded(self, *arguments):
            # The address is last: connect(address), sendto(data, [flags,] address).
            inet = self.family in (socket.AF_INET, socket.AF_INET6)
            if inet and arguments and not is_local(arguments[-1][0]):
                refuse(arguments[-1][0])
            return original(self, *arguments)

        return guarded

    def of_name(name):
        original = getattr(socket, name)

        def guarded(host, *arguments, **options):
            if not is_local(host):
                refuse(host)
            return original(host, *arguments, **options)

        return guarded

    for place, name in _GUARDED:
        setattr(place, name, of_name(name) if place is socket else of_address(name))


_GUARDED = [
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket.socket, "sendto"),
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
    (socket, "gethostbyname_ex"),
]

PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "ftp", "all")]
PROXIES += [name.upper() for name in PROXIES]
"""Environment variables that lead out through another door, which may be local."""


# -- processes -------------------------------------------------------------------------------------


def run(*words, cwd=None, env=None, timeout=600):
    """Run `composer-pl WORDS` without a network and return the finished process, with its texts.

    Args:
        cwd: Working folder.
        env: Further environment variables; the paths of a PYTHONPATH come after the guard's.
        timeout: Seconds.

    Raises:
        BlockedNetworkError: It asked for one, whatever it made of the refusal.
    """
    return python("-m", "composer_pl", *words, cwd=cwd, env=env, timeout=timeout)


def python(*words, cwd=None, env=None, timeout=600):
    """Run `python WORDS` without a network; see `run`."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "attempts"
        environment = {k: v for k, v in {**os.environ, **(env or {})}.items() if k not in PROXIES}
        paths = [str(HERE / "blocked_site"), str(HERE), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        environment[LOG] = str(log)
        ended = subprocess.run(
            [*_without_network(), sys.executable, *map(str, words)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if log.exists():
            raise BlockedNetworkError(f"the process asked for {log.read_text().split()}")
    return ended


def install_in_this_process() -> None:
    """What `blocked_site/sitecustomize.py` calls at the start of each guarded process."""

    def note(host):
        with open(os.environ[LOG], "a") as file:
            file.write(f"{host}\n")

    if LOG in os.environ:
        install(note)


@cache
def _without_network() -> tuple[str, ...]:
    """The prefix of a command that gives it a network namespace of its own, if there is one."""
    prefix = ("unshare", "--map-root-user", "--net")
    if not shutil.which("unshare"):
        return ()
    works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if works else ()
