"""Reports: one page for people, one JSON for programs, tables for papers.

`write_report` takes a list of tables, plots, grids and texts; nothing here knows what was measured.
"""

from composer_pl.evaluation.report.latex import table_latex
from composer_pl.evaluation.report.markdown import table_markdown
from composer_pl.evaluation.report.measured import measured_cell
from composer_pl.evaluation.report.parts import (
    NOT_OF_PROTOCOL,
    Cell,
    Grid,
    Marked,
    Part,
    Plot,
    Point,
    Table,
)
from composer_pl.evaluation.report.record import Report, read_report
from composer_pl.evaluation.report.write import write_report

__all__ = [
    "NOT_OF_PROTOCOL",
    "Cell",
    "Grid",
    "Marked",
    "Part",
    "Plot",
    "Point",
    "Report",
    "Table",
    "measured_cell",
    "read_report",
    "table_latex",
    "table_markdown",
    "write_report",
]
