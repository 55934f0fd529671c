"""The texts of a table's cells, the same in HTML, Markdown and LaTeX before their escaping."""

from dataclasses import dataclass
from math import isfinite, isnan

from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.report.parts import Cell, Marked, Table

NOT_MEASURED = "not measured"
UNDEFINED = "undefined"
_SIGNS = ("†", "‡", "§", "¶")


@dataclass(frozen=True, kw_only=True, slots=True)
class CellText:
    """A cell in words.

    Attributes:
        text: The number or text.
        low: Lower end of its interval; empty without one.
        high: Upper end.
        mark: Sign of its footnote; empty without one.
        number: Whether the cell is a number, which is set flush right.
        missing: Whether it is one that was not measured.
        interval: The interval in numbers, for a bar; None without one.
    """

    text: str
    low: str = ""
    high: str = ""
    mark: str = ""
    number: bool = False
    missing: bool = False
    interval: Interval | None = None

    @property
    def plain(self) -> str:
        """Number and interval in one line, without the mark."""
        return f"{self.text} [{self.low}, {self.high}]" if self.low else self.text


def cell_texts(table: Table) -> tuple[list[list[CellText]], dict[str, str]]:
    """Write out a table.

    Returns:
        The cells by row, and the footnote of each mark in the order of their first use.
    """
    marks: dict[str, str] = {}
    for row in table.rows:
        for cell in row:
            if isinstance(cell, Marked) and cell.footnote not in marks:
                marks[cell.footnote] = _sign(len(marks))
    specs = column_formats(table)
    rows = [[_text(cell, spec, marks) for cell, spec in zip(row, specs, strict=True)]
            for row in table.rows]  # fmt: skip
    return rows, {mark: footnote for footnote, mark in marks.items()}


def column_formats(table: Table) -> list[str]:
    """The format of each column's numbers, given or automatic."""
    return [
        table.formats.get(heading) or automatic_format(tuple(row[i] for row in table.rows))
        for i, heading in enumerate(table.columns)
    ]


def numeric_columns(rows: list[list[CellText]], count: int) -> list[bool]:
    """Which columns hold numbers, or would if any was measured: they are set flush right."""
    found = []
    for i in range(count):
        cells = [row[i] for row in rows]
        missing = any(cell.missing for cell in cells) and not any(
            cell.text for cell in cells if not cell.missing
        )
        found.append(missing or any(cell.number for cell in cells))
    return found


def automatic_format(column: tuple[Cell, ...]) -> str:
    """A format for the numbers of a column, from the largest of them.

    Whole numbers stay whole. Otherwise three decimals, fewer from 10 on, powers of ten below 0.005.
    """
    numbers = [number for cell in column for number in _numbers(cell)]
    if all(isinstance(number, int) for number in numbers):
        return ","
    largest = max((abs(number) for number in numbers if isfinite(number)), default=0.0)
    if 0 < largest < 0.005:
        return ".2e"
    return f",.{3 if largest < 10 else 2 if largest < 100 else 1 if largest < 1000 else 0}f"


def number_text(number: float, spec: str) -> str:
    """A number in words; "undefined" for NaN."""
    return UNDEFINED if isnan(number) else format(number, spec)


def _numbers(cell: Cell) -> list[float]:
    cell = cell.cell if isinstance(cell, Marked) else cell
    if isinstance(cell, Interval):
        return [float(cell.value), float(cell.low), float(cell.high)]
    return [] if cell is None or isinstance(cell, str) else [cell]


def _text(cell: Cell, spec: str, marks: dict[str, str]) -> CellText:
    mark = ""
    if isinstance(cell, Marked):
        mark, cell = marks[cell.footnote], cell.cell
    if isinstance(cell, Interval):
        text = number_text(cell.value, spec)
        if not all(isfinite(number) for number in (cell.value, cell.low, cell.high)):
            return CellText(text=text, mark=mark, number=True)
        low, high = number_text(cell.low, spec), number_text(cell.high, spec)
        return CellText(text=text, low=low, high=high, mark=mark, number=True, interval=cell)
    if cell is None:
        return CellText(text=NOT_MEASURED, mark=mark, missing=True)
    if isinstance(cell, str):
        return CellText(text=cell, mark=mark)
    return CellText(text=number_text(cell, spec), mark=mark, number=True)


def _sign(number: int) -> str:
    """†, ‡, §, ¶, ††, ..."""
    return _SIGNS[number % len(_SIGNS)] * (1 + number // len(_SIGNS))
