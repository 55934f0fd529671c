"""The composition experiment's results as JSON, tables and a sheet of pictures."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from composer_pl.sheet import Panel, contact_sheet


@dataclass(kw_only=True)
class Composed:
    """What `run_composition` found.

    Attributes:
        facts: Plain numbers.
        examples: The first picture of each held-out pair: column -> 8-bit pictures.
        texts: Their captions.
    """

    facts: dict[str, Any]
    examples: dict[str, Tensor] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def markdown(facts: Mapping[str, Any]) -> str:
    """Tables for the README."""
    lines = [
        f"{facts['pictures']} pictures of each main set and arm, {facts['steps']} steps, "
        f"guidance {facts['guidance']}; 95% intervals.",
    ]
    for setting, result in facts["sets"].items():
        lines += ["", f"**{setting}**", ""]
        groups = {"": result} if setting == "pair" else result
        measures: list[str] = []
        for arms in groups.values():
            for line in arms.values():
                known = [m for m in line if not m.startswith("by ") and m not in measures]
                measures += known
        lines += [
            f"| scenes | arm | {' | '.join(measures)} |",
            "| --- " * (len(measures) + 2) + "|",
        ]
        for group, arms in groups.items():
            for arm, line in arms.items():
                cells = [_cell(line.get(measure)) for measure in measures]
                lines.append(f"| {group} | {arm} | {' | '.join(cells)} |")
        for trial, contrast in facts["contrasts"][setting].items():
            lines += ["", f"Contrast ({trial}): {_flat(contrast)}."]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "{:.3f} [{:.3f}, {:.3f}]".format(*value)
    return f"{value:.3f}"


def _flat(contrast: Mapping[str, Any]) -> str:
    parts = []
    for name, value in contrast.items():
        if isinstance(value, Mapping):
            parts.append(f"{name} ({_flat(value)})")
        else:
            parts.append(f"{name} {_cell(value) if isinstance(value, list) else value}")
    return "; ".join(parts)


def write(composed: Composed, out: Path) -> None:
    """Write `composition.json`, `composition.md` and `composition.png`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "composition.json").write_text(json.dumps(composed.facts, indent=1) + "\n")
    (out / "composition.md").write_text(markdown(composed.facts))
    columns = [name for name in composed.examples if name != "true" and "/" not in name]
    rows = []
    for row, text in enumerate(composed.texts):
        line = [
            Panel(title="asked", content=text),
            Panel(title="true", content=composed.examples["true"][row] / 255),
        ]
        for name in columns:
            if not name.startswith("two objects"):
                line.append(Panel(title=name, content=composed.examples[name][row] / 255))
        rows.append(line)
    contact_sheet(rows, cell=96).save(out / "composition.png", optimize=True)
