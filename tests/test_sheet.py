"""Contact sheets: pixels land where they should."""

import torch

from composer_pl.sheet import Panel, contact_sheet, to_pil


def test_levels_are_rounded_to_the_nearest():
    assert to_pil(torch.full((3, 1, 1), 0.5)).getpixel((0, 0)) == (128, 128, 128)
    assert to_pil(torch.tensor([2.0, -1.0, 1.0]).reshape(3, 1, 1)).getpixel((0, 0)) == (255, 0, 255)


def test_a_panel_fills_its_cell_with_its_colour():
    red = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1).expand(3, 4, 4)
    rows = [[Panel(title="red", content=red), Panel(title="text", content="a long text " * 9)]]
    sheet = contact_sheet(rows, cell=64)
    assert sheet.size == (2 * 70 + 6, 64 + 16 + 6 + 6)
    inside = sheet.crop((6, 22, 70, 86)).getcolors()
    assert inside == [(64 * 64, (255, 0, 0))]


def test_no_rows_are_an_empty_sheet():
    assert min(contact_sheet([]).size) >= 1
