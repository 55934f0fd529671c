"""Panels that show a picture's parts, each drawn by its own plugin."""

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.parts import Parts
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.sheet import Panel


def part_panel(name: str, plugin: ConditionPlugin, value: Tensor, note: str = "") -> Panel:
    """One part as its plugin draws it; a text condition shows the text that it came from."""
    if "caption" in plugin.inputs and note:
        return Panel(title=name, content=note)
    drawn = plugin.visualize(value[None])
    return Panel(title=name, content=drawn[0])


def decomposition_rows(
    decomposer: Decomposer,
    picture: str | Path | Image.Image,
    parts: Parts,
    missing: Mapping[str, Exception] | None = None,
) -> list[list[Panel]]:
    """A picture, its parts, and a word on each condition that could not be extracted."""
    source = decomposer.source(picture)[0].cpu()
    panels = [Panel(title="picture", content=(source + 1) / 2)]
    for name, plugin in decomposer.plugins.items():
        if name in parts:
            panels.append(part_panel(name, plugin, parts[name], parts.notes[name]))
        elif missing and name in missing:
            panels.append(Panel(title=name, content="weights or library missing"))
    width = 5
    return [panels[i : i + width] for i in range(0, len(panels), width)]


def composition_rows(
    parts: Parts, plugins: Mapping[str, ConditionPlugin], pictures: list[Tensor]
) -> list[list[Panel]]:
    """The given parts above the pictures made from them; pictures in [0, 1]."""
    above = [
        part_panel(name, plugins[name], value, parts.notes[name]) for name, value in parts.items()
    ]
    below = [Panel(title=f"picture {i}", content=picture) for i, picture in enumerate(pictures)]
    rows = [below[i : i + 8] for i in range(0, len(below), 8)]
    return [above, *rows] if above else rows


def as_tensor(picture: Image.Image) -> Tensor:
    """8-bit RGB picture -> `(3, h, w)` in [0, 1]."""
    data = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    return data.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255
