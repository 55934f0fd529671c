"""Signs of life: none of quick work, plain lines of slow work, in `decompose` and `compose`."""

import re
import time

import pytest

from composer_pl.cli import telling as module
from composer_pl.cli.telling import sampling_progress, telling


def wait_for_line(capsys):
    told, end = "", time.monotonic() + 60
    while "\n" not in told and time.monotonic() < end:
        time.sleep(0.01)
        told += capsys.readouterr().err
    return told


def test_quick_work_says_nothing(capsys):
    with telling("Loading a model"):
        pass
    sampling_progress()(1, 2)
    assert capsys.readouterr().err == ""


def test_slow_work_is_told_until_it_is_over_whatever_ends_it(capsys, monkeypatch):
    def failing():
        heard.append(wait_for_line(capsys))
        raise ValueError("a mistake")

    heard = []
    monkeypatch.setattr(module, "EVERY", 0.02)
    with pytest.raises(ValueError, match="a mistake"), telling("Loading a model"):
        failing()
    assert re.match(r"Loading a model: \d+ s\n", heard[0])
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_steps_without_a_terminal_are_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    progress = sampling_progress()
    progress(3, 25)
    progress(4, 25)
    assert re.fullmatch(r"step 3/25, \d+ s\nstep 4/25, \d+ s\n", capsys.readouterr().err)


def test_steps_on_a_terminal_overwrite_themselves(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = sampling_progress()
    progress(1, 2)
    progress(2, 2)
    assert capsys.readouterr().err == "\rstep 1/2\rstep 2/2\n"
