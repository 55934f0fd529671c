"""Writing a report: the page, the JSON, the tables for papers and the pictures as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from composer_pl.errors import UserInputError
from composer_pl.evaluation.report.latex import PREAMBLE, table_latex
from composer_pl.evaluation.report.markdown import escape_markdown, table_markdown
from composer_pl.evaluation.report.page import png_bytes, report_page, slug
from composer_pl.evaluation.report.parts import Grid, Part, Table
from composer_pl.evaluation.report.record import report_json
from composer_pl.files import replacing

PICTURES = "pictures"


def write_report(out: Path, title: str, parts: Sequence[Part], *, facts: Mapping[str, Any]) -> None:
    """Write a report into a folder; the same report gives the same bytes.

    `report.html` is complete in itself. `report.json` holds every number in full, `tables.md` and
    `tables.tex` the tables, `pictures/` the grids as PNG.

    Args:
        out: The folder; made where it is absent. Files of an earlier report are replaced.
        title: Heading of the report.
        parts: What it shows, in order.
        facts: Everything that made the numbers: plain JSON data.

    Raises:
        UserInputError: The folder's name is taken by a file.
    """
    parts = list(parts)
    if out.exists() and not out.is_dir():
        raise UserInputError(
            f"Writing the report to {str(out)!r}: expected a folder or a free name, found a file. "
            f"Next: name another folder with --out."
        )
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for number, part in enumerate(parts, 1):
        file = f"{PICTURES}/{number:02d}-{slug(part.title)}.png" if isinstance(part, Grid) else ""
        files.append(file)
        if isinstance(part, Grid):
            (out / PICTURES).mkdir(exist_ok=True)
            _write(out / file, png_bytes(part.picture))
    tables = [part for part in parts if isinstance(part, Table)]
    markdown = "\n".join([f"## {escape_markdown(title)}\n", *map(table_markdown, tables)])
    latex = "\n".join([PREAMBLE, *map(table_latex, tables)])
    _write(out / "report.html", report_page(title, parts, facts=facts).encode())
    _write(out / "report.json", report_json(title, parts, files, facts).encode())
    _write(out / "tables.md", markdown.encode())
    _write(out / "tables.tex", latex.encode())


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
