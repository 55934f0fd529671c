"""A report as one HTML page: everything is inside, and it asks no machine for anything."""

import base64
import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.report.cells import (
    CellText,
    cell_texts,
    column_formats,
    numeric_columns,
)
from composer_pl.evaluation.report.parts import Grid, Part, Plot, Table
from composer_pl.evaluation.report.plot import draw_plot, legend_key
from composer_pl.evaluation.report.style import STYLE

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_BROAD_FROM = 11  # columns, those with intervals counted twice, that need more than a text's width
_ALIKE = 1.5  # how much longer than the longest own scale a common one may be
_CONTENTS_FROM = 5  # titled parts; a shorter page needs no list of them
_MINUS = re.compile(r"^-(?=[\d.])")


def report_page(title: str, parts: Sequence[Part], *, facts: Mapping[str, Any]) -> str:
    """Lay out a report.

    Args:
        title: Heading and title of the page.
        parts: What it shows, in order.
        facts: Plain data shown at the end.
    """
    anchors = _anchors(parts)
    body = "".join(_part(part, anchor) for part, anchor in zip(parts, anchors, strict=True))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{_contents(parts, anchors)}<main>\n{body}</main>\n"
        f"{_facts(facts)}<footer>Made by composer-pl. In brackets and as bars: 95% intervals "
        "unless a note says otherwise. The same numbers stand in report.json, tables.md and "
        "tables.tex beside this page.</footer>\n</body>\n</html>\n"
    )


def png_bytes(picture: Image.Image) -> bytes:
    """A picture as PNG, without any metadata."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def slug(text: str) -> str:
    """A title as a name of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "part"


def _title(part: Part) -> str:
    if isinstance(part, str):
        return part[3:].strip() if part.startswith("## ") else ""
    return part.title


def _anchors(parts: Sequence[Part]) -> list[str]:
    taken: dict[str, int] = {}
    anchors = []
    for part in parts:
        name = slug(_title(part))
        taken[name] = taken.get(name, 0) + 1
        anchors.append(name if taken[name] == 1 else f"{name}--{taken[name]}")
    return anchors


def _contents(parts: Sequence[Part], anchors: Sequence[str]) -> str:
    entries = [f'<a href="#{anchor}">{html.escape(_title(part))}</a>'
               for part, anchor in zip(parts, anchors, strict=True) if _title(part)]  # fmt: skip
    if len(entries) < _CONTENTS_FROM:
        return ""
    return f'<nav aria-label="Contents">{"".join(entries)}</nav>\n'


def _part(part: Part, anchor: str) -> str:
    if isinstance(part, Table):
        return _table(part, anchor)
    if isinstance(part, Plot):
        return _plot(part, anchor)
    if isinstance(part, Grid):
        return _grid(part, anchor)
    if heading := _title(part):
        return f'<h2 id="{anchor}">{html.escape(heading)}</h2>\n'
    paragraphs = (text.strip() for text in part.split("\n\n"))
    return "".join(f"<p>{html.escape(text)}</p>\n" for text in paragraphs if text)


# -- tables ----------------------------------------------------------------------------------------


def _table(table: Table, anchor: str) -> str:
    rows, footnotes = cell_texts(table)
    numeric = numeric_columns(rows, len(table.columns))
    columns = [[row[i].interval for row in rows] for i in range(len(table.columns))]
    ranges = _ranges(columns, column_formats(table))
    head = "".join(
        f'<th scope="col"{_class(number)}>{html.escape(heading)}</th>'
        for heading, number in zip(table.columns, numeric, strict=True)
    )
    lines = []
    for row in rows:
        cells = "".join(
            _cell(cell, numeric[i], ranges[i], first=i == 0 and not numeric[0])
            for i, cell in enumerate(row)
        )
        lines.append(f"<tr>{cells}</tr>\n")
    beneath = [f"<sup>{html.escape(mark)}</sup> {html.escape(footnote)}"
               for mark, footnote in footnotes.items()]  # fmt: skip
    width = sum(1 + any(interval is not None for interval in column) for column in columns)
    kind = ' class="broad"' if width >= _BROAD_FROM else ""
    return (
        f'<figure id="{anchor}"{kind}><figcaption id="{anchor}--title">{html.escape(table.title)}'
        f'</figcaption>\n<div class="scroll"><table aria-labelledby="{anchor}--title">'
        f"\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(lines)}</tbody></table>"
        f"</div>\n{_notes([*beneath, html.escape(table.note)])}</figure>\n"
    )


def _ranges(
    columns: Sequence[Sequence[Interval | None]], formats: Sequence[str]
) -> list[tuple[float, float]]:
    """The ends of each column's bars; columns of one kind have one scale, so that they compare.

    Columns are of one kind where their numbers have one format and one scale shows all of them
    about as well as their own would. Shares that fill a fair part of 0 to 1 are shown from 0 to 1.
    """
    own = [_ends(column) for column in columns]
    ranges = []
    for ends, spec in zip(own, formats, strict=True):
        kind = [each for each, other in zip(own, formats, strict=True) if each and other == spec]
        low, high = min((a for a, _ in kind), default=0.0), max((b for _, b in kind), default=1.0)
        alike = high - low <= _ALIKE * max((b - a for a, b in kind), default=1.0)
        if low >= 0 and high <= 1 and high - low >= 0.2:
            ranges.append((0.0, 1.0))
        else:
            ranges.append(_with_room((low, high) if alike or ends is None else ends))
    return ranges


def _with_room(ends: tuple[float, float]) -> tuple[float, float]:
    room = 0.06 * (ends[1] - ends[0]) or 0.5
    return ends[0] - room, ends[1] + room


def _ends(column: Sequence[Interval | None]) -> tuple[float, float] | None:
    found = [interval for interval in column if interval is not None]
    if not found:
        return None
    low = min(min(each.low, each.value) for each in found)
    return low, max(max(each.high, each.value) for each in found)


def _cell(cell: CellText, number: bool, ends: tuple[float, float], *, first: bool) -> str:
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    text = html.escape(_MINUS.sub("−", cell.text) if cell.number else cell.text)
    if cell.missing:
        text = f'<span class="none">{text}</span>'
    mark = f"<sup>{html.escape(cell.mark)}</sup>" if cell.mark else ""
    spread = ""
    if cell.interval is not None:
        low, high = (_MINUS.sub("−", end) for end in (cell.low, cell.high))
        spread = f' <span class="range">[{low}, {high}]</span>{_bar(cell.interval, *ends)}'
    return f"<{tag}{scope}{_class(number)}>{text}{mark}{spread}</{tag}>"


def _bar(interval: Interval, low: float, high: float) -> str:
    """Interval and value to scale, with a line at 0 where the scale passes it."""

    def place(number: float) -> float:
        return 100 * min(max((number - low) / (high - low), 0), 1)

    start, end, at = (place(number) for number in (interval.low, interval.high, interval.value))
    zero = f'<s style="left:{place(0):.1f}%"></s>' if low < 0 < high else ""
    return (
        f'<span class="bar" aria-hidden="true">{zero}<i style="left:{start:.1f}%;'
        f'width:{end - start:.1f}%"></i><b style="left:{at:.1f}%"></b></span>'
    )


def _class(number: bool) -> str:
    return ' class="num"' if number else ""


# -- plots, grids, facts ---------------------------------------------------------------------------


def _plot(plot: Plot, anchor: str) -> str:
    keys = "".join(f"<span>{legend_key(i)}{html.escape(name)}</span>"
                   for i, name in enumerate(plot.series))  # fmt: skip
    return (
        f'<figure id="{anchor}"><figcaption>{html.escape(plot.title)}</figcaption>\n'
        f'<div class="legend">{keys}</div>\n'
        f'<div class="wide">{draw_plot(plot, width=760, height=340)}</div>\n'
        f'<div class="narrow">{draw_plot(plot, width=360, height=260)}</div>\n'
        f"{_notes([html.escape(plot.note)])}</figure>\n"
    )


def _grid(grid: Grid, anchor: str) -> str:
    data = base64.b64encode(png_bytes(grid.picture)).decode()
    width, height = grid.picture.size
    return (
        f'<figure id="{anchor}"><figcaption>{html.escape(grid.title)}</figcaption>\n'
        f'<div class="scroll"><img width="{width}" height="{height}" '
        f'alt="{html.escape(grid.title, quote=True)}" src="data:image/png;base64,{data}"></div>\n'
        f"{_notes([html.escape(grid.note)])}</figure>\n"
    )


def _notes(texts: Sequence[str]) -> str:
    return "".join(f'<p class="note">{text}</p>\n' for text in texts if text)


def _facts(facts: Mapping[str, Any]) -> str:
    entries = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>\n"
        for name, value in _leaves(facts)
    )
    return (
        f'<h2>What made these numbers</h2>\n<dl class="facts">{entries}</dl>\n' if entries else ""
    )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, text) of plain data; lists of single values stay in one line."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        if any(isinstance(item, Mapping | list | tuple) for item in value):
            for number, item in enumerate(value):
                yield from _leaves(item, f"{name}.{number}")
        else:
            yield name, ", ".join(str(item) for item in value) or "none"
    else:
        yield name, "none" if value is None or value == "" else str(value)
