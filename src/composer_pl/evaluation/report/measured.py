"""Cells from measurements: what is not of its protocol never stands without its mark."""

from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report.parts import NOT_OF_PROTOCOL, Cell, Marked


def measured_cell(measurement: Measurement | None, footnote: str = NOT_OF_PROTOCOL) -> Cell:
    """A measurement as a cell, with its interval where it has one; None is "not measured".

    Args:
        measurement: The number.
        footnote: What is said of it where it is not of its protocol.
    """
    if measurement is None:
        return None
    cell: float | Interval = measurement.value
    if measurement.low is not None and measurement.high is not None:
        cell = Interval(measurement.value, measurement.low, measurement.high)
    return cell if measurement.of_protocol else Marked(cell, footnote)
