"""What the protocols share on the command line."""

import sys
from types import SimpleNamespace

from composer_pl.cli.eval import frame


def test_the_time_left_is_told_by_work_and_not_by_what_was_found_done(monkeypatch, capsys):
    """A run that goes on at 50 of 60 and does five blocks in ten seconds needs ten more."""
    clock = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr(frame, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = frame.progress_line("blocks")
    for done in (50, 55, 60):
        tell(done, 60)
    first, second, last = capsys.readouterr().err.strip("\r").split("\r")
    assert first.startswith("50/60 blocks\033")
    assert second.startswith("55/60 blocks, about 10 s left")
    assert last.startswith("60/60 blocks\033")


def test_nothing_is_told_where_nobody_reads(capsys):
    assert frame.progress_line("blocks") is None
