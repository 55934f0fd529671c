"""No test of a plugin reaches anything but this machine; see `tests/blocked.py`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No test reaches anything but this machine."""
    from blocked import PROXIES, guarded_test

    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with guarded_test():
        yield
