"""A report as JSON: every number of it in full, and back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.report.page import png_bytes
from composer_pl.evaluation.report.parts import Cell, Grid, Marked, Part, Plot, Table

FORMAT = 1


@dataclass(frozen=True)
class Report:
    """A report that was read back."""

    title: str
    parts: list[Part]
    facts: dict[str, Any]


def report_json(title: str, parts: list[Part], files: list[str], facts: Mapping[str, Any]) -> str:
    """The text of `report.json`.

    Args:
        title: Of the report.
        parts: What it shows.
        files: For each part the file of its picture, beside the JSON; empty where it has none.
        facts: Plain data.
    """
    data = {
        "format": FORMAT,
        "title": title,
        "facts": _plain(dict(facts)),
        "parts": [_from_part(part, file) for part, file in zip(parts, files, strict=True)],
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_report(path: str | Path) -> Report:
    """Read a report back from its folder or its `report.json`.

    Raises:
        UserInputError: There is none, or it is none that this version wrote.
    """
    path = Path(path)
    path = path / "report.json" if path.is_dir() else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']!r}, not {FORMAT}")
        parts = [_to_part(entry, path.parent) for entry in data["parts"]]
        return Report(data["title"], parts, _numbers(data["facts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error}"
        raise UserInputError(
            f"Reading the report {str(path)!r}: expected a report.json of `composer-pl eval`, "
            f"found none that can be read ({reason}). Next: name the folder that --out named."
        ) from error


# -- parts -----------------------------------------------------------------------------------------


def _from_part(part: Part, file: str) -> dict[str, Any]:
    if isinstance(part, str):
        return {"kind": "text", "text": part}
    common = {"title": part.title, "note": part.note}
    if isinstance(part, Table):
        rows = [[_from_cell(cell) for cell in row] for row in part.rows]
        formats = {"formats": dict(part.formats)} if part.formats else {}
        return {"kind": "table", **common, "columns": list(part.columns), "rows": rows, **formats}
    if isinstance(part, Plot):
        series = {name: [_plain(list(point)) for point in points]
                  for name, points in part.series.items()}  # fmt: skip
        axes = {"x_label": part.x_label, "y_label": part.y_label, "log_x": part.log_x}
        return {"kind": "plot", **common, **axes, "series": series}
    digest = hashlib.sha256(png_bytes(part.picture)).hexdigest()
    return {"kind": "grid", **common, "file": file, "sha256": digest}


def _to_part(data: Mapping[str, Any], folder: Path) -> Part:
    kind = data["kind"]
    if kind == "text":
        return data["text"]
    title, note = data["title"], data["note"]
    if kind == "table":
        rows = [[_to_cell(cell) for cell in row] for row in data["rows"]]
        return Table(title, data["columns"], rows, note, data.get("formats", {}))
    if kind == "plot":
        series = {name: [tuple(_numbers(point)) for point in points]
                  for name, points in data["series"].items()}  # fmt: skip
        return Plot(title, data["x_label"], data["y_label"], series, note, data["log_x"])
    if kind == "grid":
        with Image.open(folder / data["file"]) as picture:
            picture.load()
            return Grid(title, picture.copy(), note)
    raise ValueError(f"a part of the unknown kind {kind!r}")


def _from_cell(cell: Cell) -> Any:
    if isinstance(cell, Marked):
        return {"cell": _from_cell(cell.cell), "footnote": cell.footnote}
    if isinstance(cell, Interval):
        return _plain({"value": cell.value, "low": cell.low, "high": cell.high})
    return _plain(cell)


def _to_cell(data: Any) -> Cell:
    if isinstance(data, Mapping) and "footnote" in data:
        inner = _to_cell(data["cell"])
        assert not isinstance(inner, Marked)
        return Marked(inner, data["footnote"])
    if isinstance(data, Mapping) and "value" in data:
        numbers = _numbers(data)
        return Interval(numbers["value"], numbers["low"], numbers["high"])
    return _numbers(data)


# -- plain data, with the numbers that JSON lacks --------------------------------------------------


def _plain(value: Any) -> Any:
    """Data that JSON holds; a number that is not finite becomes `{"number": "nan"}`."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return {"number": str(float(value))}
    return value


def _numbers(value: Any) -> Any:
    """The way back of `_plain`."""
    if isinstance(value, Mapping):
        if value.keys() == {"number"}:
            return float(value["number"])
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return value
