"""Plots as SVG text: lines, bands and marks, coloured by the style sheet of the page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, isfinite, log10

from composer_pl.evaluation.plots import ticks
from composer_pl.evaluation.report.parts import Plot, Point

COLOURS = 8
"""Series that the style sheet tells apart by colour; after them the lines are dashed."""
_MARKED_UP_TO = 40  # points of a series; a denser line shows no marks
_TOP, _RIGHT, _BOTTOM = 28, 14, 44
_CHARACTER = 7.2  # width of a digit at the size of the axes' text


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """Data coordinates -> places on the sheet."""

    width: int
    height: int
    left: float
    x: tuple[float, float]
    y: tuple[float, float]
    log_x: bool

    def across(self, x: float) -> float:
        low, high, x = (log10(v) if self.log_x else v for v in (*self.x, x))
        return self.left + (self.width - self.left - _RIGHT) * (x - low) / (high - low)

    def up(self, y: float) -> float:
        low, high = self.y
        return _TOP + (self.height - _TOP - _BOTTOM) * (1 - (y - low) / (high - low))


def draw_plot(plot: Plot, *, width: int, height: int) -> str:
    """Draw a plot as an `<svg>` element.

    Args:
        plot: What is drawn.
        width: Of the sheet, in pixels of the text's size.
        height: Of the sheet.
    """
    points = [point for series in plot.series.values() for point in series]
    finite = [point for point in points if isfinite(point[0]) and isfinite(point[1])]
    about = html.escape(f"{plot.title}: {plot.y_label} over {plot.x_label}", quote=True)
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{about}">'
    if not finite:
        return (
            f'{head}<text x="{width / 2:g}" y="{height / 2:g}" class="mid">no points</text></svg>'
        )
    frame = _frame(plot, finite, width, height)
    drawn = [_series(name, list(series), number, frame)
             for number, (name, series) in enumerate(plot.series.items())]  # fmt: skip
    bands = "".join(band for band, _ in drawn)
    lines = "".join(line for _, line in drawn)
    return f"{head}{_axes(plot, frame)}{bands}{lines}</svg>"


def legend_key(number: int) -> str:
    """The line and mark of a series, for a legend in HTML."""
    line = f'<path class="line{_dashes(number)}" d="M0 6H28"/>'
    return (
        f'<svg class="key s{number % COLOURS}" viewBox="0 0 28 12" aria-hidden="true">'
        f"{line}{_mark(14, 6, number)}</svg>"
    )


def _frame(plot: Plot, points: Sequence[Point], width: int, height: int) -> _Frame:
    ys = [y for point in points for y in point[1:] if isfinite(y)]
    low, high = min(ys), max(ys)
    if 0 < low < 0.4 * high:
        low = 0.0  # near enough to show how far from nothing it is
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    y = (low if low == 0 else low - room, high + room)
    xs = [point[0] for point in points]
    x = (min(xs), max(xs))
    if x[0] == x[1]:
        x = (x[0] / 2, x[0] * 2) if plot.log_x else (x[0] - 0.5, x[0] + 0.5)
    widest = max(len(f"{tick:g}") for tick in ticks(*y, 6))
    left = 12 + _CHARACTER * widest
    return _Frame(width=width, height=height, left=left, x=x, y=y, log_x=plot.log_x)


def _axes(plot: Plot, frame: _Frame) -> str:
    right, bottom = frame.width - _RIGHT, frame.height - _BOTTOM
    parts = []
    for tick in ticks(*frame.y, 6):
        y = frame.up(tick)
        parts.append(f'<path class="grid" d="M{frame.left:.1f} {y:.1f}H{right}"/>')
        parts.append(
            f'<text class="end" x="{frame.left - 6:.1f}" y="{y + 4:.1f}">{_tick(tick)}</text>'
        )
    most = max(2, round((right - frame.left) / 80))
    places = log_ticks(*frame.x, most) if frame.log_x else ticks(*frame.x, most)
    for tick in places:
        x = frame.across(tick)
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{bottom + 18}">{_tick(tick)}</text>')
    parts.append(f'<path class="axis" d="M{frame.left:.1f} {bottom}H{right}"/>')
    parts.append(f'<text x="2" y="14">{html.escape(plot.y_label)}</text>')
    parts.append(
        f'<text class="end" x="{right}" y="{frame.height - 8}">{html.escape(plot.x_label)}</text>'
    )
    return "".join(parts)


def _series(name: str, points: list[Point], number: int, frame: _Frame) -> tuple[str, str]:
    """Band and line of a series."""
    band, line = "", ""
    for drawable, run in groupby(points, key=lambda p: isfinite(p[0]) and isfinite(p[1])):
        stretch = list(run)
        if not drawable:
            continue
        places = [f"{frame.across(p[0]):.1f} {frame.up(p[1]):.1f}" for p in stretch]
        if len(stretch) > 1:
            line += f'<path class="line{_dashes(number)}" d="M{"L".join(places)}"/>'
        band += _band(stretch, frame)
    if len(points) <= _MARKED_UP_TO:
        for point in points:
            if isfinite(point[0]) and isfinite(point[1]):
                line += (
                    f"<g><title>{html.escape(_told(name, point))}</title>"
                    f"{_mark(frame.across(point[0]), frame.up(point[1]), number)}</g>"
                )
    group = f'<g class="s{number % COLOURS}">'
    return f"{group}{band}</g>" if band else "", f"{group}{line}</g>"


def _band(points: Sequence[Point], frame: _Frame) -> str:
    """Intervals as one area, or as one upright line where a point stands alone."""
    shape = ""
    for spread, run in groupby(points, key=lambda p: len(p) == 4 and all(map(isfinite, p))):
        known = list(run)
        if not spread:
            continue
        across = [f"{frame.across(p[0]):.1f}" for p in known]
        lows = [f"{x} {frame.up(p[2]):.1f}" for x, p in zip(across, known, strict=True)]  # type: ignore[misc]
        highs = [f"{x} {frame.up(p[3]):.1f}" for x, p in zip(across, known, strict=True)]  # type: ignore[misc]
        if len(known) == 1:
            shape += f'<path class="line" d="M{lows[0]}L{highs[0]}"/>'
        else:
            shape += f'<path class="band" d="M{"L".join([*highs, *reversed(lows)])}Z"/>'
    return shape


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers for a logarithmic axis: powers of ten, where they are few with 2 and 5."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        found = [m * 10.0**p for p in powers for m in steps if low <= m * 10.0**p <= high]
        if len(found) <= most:
            return found
    return found[:: ceil(len(found) / most)]


def _mark(x: float, y: float, number: int) -> str:
    """Circle, square, triangle, diamond: told apart without colour too."""
    shapes = (
        f"M{x - 3.5:.1f} {y:.1f}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
        f"M{x - 3.2:.1f} {y - 3.2:.1f}h6.4v6.4h-6.4Z",
        f"M{x:.1f} {y - 4.2:.1f}l4.2 7.2h-8.4Z",
        f"M{x:.1f} {y - 4.6:.1f}l4.6 4.6l-4.6 4.6l-4.6 -4.6Z",
    )
    return f'<path class="mark" d="{shapes[number % len(shapes)]}"/>'


def _dashes(number: int) -> str:
    return " dashed" if number // COLOURS % 2 else ""


def _tick(value: float) -> str:
    """A number beside an axis: 30000 as 30k, so that neighbours do not touch."""
    if abs(value) >= 10_000 and value % 1000 == 0:
        return f"{value / 1_000_000:g}M" if value % 1_000_000 == 0 else f"{value / 1000:g}k"
    return f"{value:g}".replace("-", "−")


def _told(name: str, point: Point) -> str:
    text = f"{name}: {point[0]:g}, {point[1]:.4g}"
    return text + (f" [{point[2]:.4g}, {point[3]:.4g}]" if len(point) == 4 else "")
