"""A line chart drawn with Pillow alone: a run over the band of its references."""

from collections.abc import Sequence
from math import ceil, floor, isfinite, log10

from PIL import Image, ImageDraw, ImageFont

from composer_pl.evaluation.curves import Curve, band

_SIZE = (960, 540)
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 46, 46
_SCALE = 2  # drawn at twice the size and shrunk, for smooth lines
_INK, _GRID, _PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
_BAND, _REFERENCE, _RUN, _NOISE = (205, 220, 240), (70, 110, 170), (200, 60, 40), (240, 205, 198)
_POINTS = 240  # places at which means are drawn


def draw_curves(
    run: Curve, references: Sequence[Curve], *, title: str, names: tuple[str, str]
) -> Image.Image:
    """Draw a run's losses and their mean over the references' mean and band.

    Args:
        run: The run.
        references: Curves to compare with; without any, the run's own rows are drawn faintly.
        title: Line above the chart.
        names: How the legend calls run and references.

    Returns:
        An RGB picture of 960 x 540 pixels.
    """
    chart = _Chart(run, references)
    chart.axes(title)
    if references:
        end = min(curve.last for curve in references)
        steps = _places(min(curve.steps[0] for curve in references), end)
        bands = [band(references, step) for step in steps]
        upper = [(s, b.mean + b.width) for s, b in zip(steps, bands, strict=True)]
        lower = [(s, b.mean - b.width) for s, b in zip(steps, bands, strict=True)]
        chart.fill([*upper, *reversed(lower)], _BAND)
        chart.line([(s, b.mean) for s, b in zip(steps, bands, strict=True)], _REFERENCE, 2)
    else:
        rows = [(s, v) for s, v in zip(run.steps, run.losses, strict=True) if isfinite(v)]
        chart.line(rows, _NOISE, 1)
    means = [(s, run.mean(s)) for s in _places(run.steps[0], run.last)]
    chart.line([(s, v) for s, v in means if isfinite(v)], _RUN, 2)
    chart.legend([(names[0], _RUN)] + ([(names[1], _REFERENCE)] if references else []))
    return chart.picture.resize(_SIZE, Image.Resampling.BOX)


class _Chart:
    """Axes in data coordinates."""

    def __init__(self, run: Curve, references: Sequence[Curve]):
        curves = [run, *references]
        self.last = max(curve.last for curve in curves)
        seen = [
            curve.mean(step)
            for curve in curves
            for step in _places(max(curve.steps[0], curve.last // 50), curve.last)
        ]
        finite = [value for value in seen if isfinite(value)] or [1.0]
        self.high = max(finite) * 1.08 or 1.0
        self.low = min(0.0, min(finite))
        self.picture = Image.new("RGB", (_SIZE[0] * _SCALE, _SIZE[1] * _SCALE), _PAPER)
        self.draw = ImageDraw.Draw(self.picture)

    def place(self, step: float, loss: float) -> tuple[float, float]:
        width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM
        loss = min(max(loss, self.low), self.high)
        x = _LEFT + width * step / max(self.last, 1)
        y = _TOP + height * (1 - (loss - self.low) / (self.high - self.low))
        return x * _SCALE, y * _SCALE

    def axes(self, title: str) -> None:
        for value in ticks(self.low, self.high, 6):
            start, end = self.place(0, value), self.place(self.last, value)
            self.draw.line([start, end], _GRID, _SCALE)
            self.text((_LEFT - 8, start[1] / _SCALE), f"{value:g}", "rm")
        for step in ticks(0, self.last, 8):
            x = self.place(step, self.low)[0] / _SCALE
            self.text((x, _SIZE[1] - _BOTTOM + 8), f"{step:g}", "mt")
        self.draw.line([self.place(0, self.low), self.place(self.last, self.low)], _INK, _SCALE)
        self.text((_LEFT, 10), title, "lt", 15)
        self.text((_SIZE[0] - _RIGHT, _SIZE[1] - 8), "optimiser step", "rb")
        self.text((_LEFT - 8, _TOP - 8), "loss", "rb")

    def text(self, at: tuple[float, float], text: str, anchor: str, size: int = 13) -> None:
        font = ImageFont.load_default(size * _SCALE)
        self.draw.text((at[0] * _SCALE, at[1] * _SCALE), text, _INK, font, anchor=anchor)

    def line(
        self, points: Sequence[tuple[float, float]], color: tuple[int, int, int], width: int
    ) -> None:
        if len(points) > 1:
            self.draw.line([self.place(*p) for p in points], color, width * _SCALE, joint="curve")
        elif points:
            x, y = self.place(*points[0])
            self.draw.ellipse([x - 6, y - 6, x + 6, y + 6], color)

    def fill(self, points: Sequence[tuple[float, float]], color: tuple[int, int, int]) -> None:
        if len(points) > 2:
            self.draw.polygon([self.place(*p) for p in points], color)

    def legend(self, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
        for i, (name, color) in enumerate(entries):
            y = _TOP + 12 + 20 * i
            right = _SIZE[0] - _RIGHT - 10
            line = [((right - 24) * _SCALE, y * _SCALE), (right * _SCALE, y * _SCALE)]
            self.draw.line(line, color, 3 * _SCALE)
            self.text((right - 32, y), name, "rm")


def _places(first: int, last: int) -> list[int]:
    """At most so many whole steps from first to last."""
    stride = max(1, (last - first) // _POINTS)
    return [*range(first, last, stride), last]


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two values."""
    raw = max(high - low, 1e-12) / most
    power = 10.0 ** floor(log10(raw))
    stride = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = ceil(low / stride)
    return [i * stride for i in range(first, floor(high / stride) + 1)]
