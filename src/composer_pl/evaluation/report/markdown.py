"""Tables as Markdown, as GitHub reads it."""

import re

from composer_pl.evaluation.report.cells import CellText, cell_texts, numeric_columns
from composer_pl.evaluation.report.parts import Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#$])")


def escape_markdown(text: str) -> str:
    """A text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table_markdown(table: Table) -> str:
    """A table with its title as a heading above, note and footnotes beneath."""
    rows, footnotes = cell_texts(table)
    numeric = numeric_columns(rows, len(table.columns))
    lines = [
        _line([escape_markdown(heading) for heading in table.columns]),
        _line(["--:" if number else ":--" for number in numeric]),
        *(_line([_cell(cell) for cell in row]) for row in rows),
    ]
    text = f"### {escape_markdown(table.title)}\n\n" + "\n".join(lines) + "\n"
    for mark, footnote in footnotes.items():
        text += f"\n{mark} {escape_markdown(footnote)}\n"
    return text + (f"\n{escape_markdown(table.note)}\n" if table.note else "")


def _cell(cell: CellText) -> str:
    text = escape_markdown(cell.plain)
    return f"{text} {cell.mark}" if cell.mark else text


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
