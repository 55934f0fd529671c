"""What a report is made of: tables, plots and grids as plain values, without any layout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.evaluation.intervals import Interval

NOT_OF_PROTOCOL = "Not of the protocol: compare it only with numbers made with the same settings."
"""Footnote of a number that a protocol does not cover, where there is nothing better to say."""


@dataclass(frozen=True)
class Marked:
    """A cell with a footnote: a number that is not of a protocol, say, and why.

    Attributes:
        cell: What the cell shows.
        footnote: One sentence beneath the table; cells that share it share its mark.
    """

    cell: str | float | Interval | None
    footnote: str = NOT_OF_PROTOCOL


Cell = str | float | Interval | Marked | None
"""One entry of a table. A text stands as it is; None reads "not measured", NaN "undefined"."""

Point = tuple[float, float] | tuple[float, float, float, float]
"""`(x, y)`, or `(x, y, low, high)` with the interval of y."""


@dataclass(frozen=True)
class Table:
    """A table of texts, numbers and intervals.

    Attributes:
        title: Its caption.
        columns: Headings.
        rows: One sequence of cells a row, each as long as `columns`.
        note: A sentence or two beneath it.
        formats: Format of the numbers of a column by its heading, as in `format`: ".1%", ".2f".
            Columns left out take their decimals from their largest number.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the headings.

        Raises:
            UserInputError: A row has another length, a heading of `formats` is none, or a format
                is none.
        """
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.columns):
                raise UserInputError(
                    f"Making the table {self.title!r}: expected {len(self.columns)} cells in every "
                    f"row, found {len(row)} in row {number}. Next: correct the row, with None for "
                    f"what was not measured."
                )
        for heading, spec in self.formats.items():
            if heading not in self.columns:
                raise UserInputError(
                    f"Making the table {self.title!r}: expected formats for "
                    f"{', '.join(self.columns)}, found one for {heading!r}. Next: correct it."
                )
            try:
                format(0.5, spec)
            except ValueError as error:
                raise UserInputError(
                    f"Making the table {self.title!r}: expected a format of numbers such as .2f "
                    f"for {heading!r}, found {spec!r}. Next: correct it."
                ) from error


@dataclass(frozen=True)
class Plot:
    """Lines with bands.

    Attributes:
        title: Its caption.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        series: Points by name, in rising x; numbers that are not finite leave a gap.
        note: A sentence or two beneath it.
        log_x: A logarithmic x axis; every x must then be above 0.
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[Point]]
    note: str = ""
    log_x: bool = False

    def __post_init__(self) -> None:
        """Refuse an x that the axis cannot show.

        Raises:
            UserInputError: An x of a logarithmic axis is not above 0.
        """
        for name, points in self.series.items():
            for point in points:
                if self.log_x and not point[0] > 0:
                    raise UserInputError(
                        f"Making the plot {self.title!r}: expected every x above 0 for a "
                        f"logarithmic axis, found {point[0]} in {name!r}. Next: leave the point "
                        f"out, or the axis linear."
                    )


@dataclass(frozen=True)
class Grid:
    """A picture, usually a contact sheet.

    Attributes:
        title: Its caption.
        picture: What is shown.
        note: A sentence or two beneath it.
    """

    title: str
    picture: Image.Image
    note: str = ""


Part = Table | Plot | Grid | str
"""A text is a paragraph, or several with empty lines between; "## Words" is a heading."""
