"""Values and targets made of the truth."""

import torch
from torch.nn.functional import interpolate

from composer_pl_instances.painting import paint_labels
from composer_pl_instances.truth import targets, truth_values


def scenes(count=6, side=32):
    """Rectangles, the nearest drawn last, with shapes at random; the last picture is empty."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.zeros(count, side, side, dtype=torch.uint8)
    attributes = torch.full((count, 5, 6), -1, dtype=torch.int8)
    for row in range(count - 1):
        for slot in reversed(range(1 + row % 5)):
            left, top, wide, high = torch.randint(2, side // 2, (4,), generator=generator).tolist()
            ids[row, top : top + high, left : left + wide] = slot + 1
            attributes[row, slot, 3] = int(torch.randint(0, 7, (), generator=generator))
    return ids, attributes


def test_values_equal_those_painted_picture_by_picture():
    ids, attributes = scenes()
    expected = torch.stack(
        [
            paint_labels(seen.long(), told[:, 3].long())
            for seen, told in zip(ids, attributes, strict=True)
        ]
    )
    assert expected[:, 4].sum() > 0, "some objects were meant to touch"
    assert torch.equal(truth_values(ids, attributes, 32), expected)
    assert torch.equal(
        truth_values(ids, attributes, 8), interpolate(expected, size=(8, 8), mode="area")
    )


def test_an_object_without_a_shape_has_no_code_and_every_shape_that_fits_a_byte_has_one():
    ids = torch.tensor([[[1, 2]]], dtype=torch.uint8).expand(1, 2, 2)
    attributes = torch.full((1, 5, 6), -1, dtype=torch.int8)
    attributes[0, 1, 3] = 127
    expected = paint_labels(ids[0].long(), torch.tensor([-1, 127]))
    assert torch.equal(truth_values(ids, attributes, 2)[0], expected)


def test_lines_are_as_fine_as_the_canvas_at_which_they_are_drawn():
    ids = torch.ones(1, 16, 16, dtype=torch.uint8)
    ids[:, :, 8:] = 2
    attributes = torch.zeros(1, 5, 6, dtype=torch.int8)
    coarse = truth_values(ids, attributes, 16)
    fine = truth_values(ids, attributes, 16, canvas=32)
    assert torch.equal(fine[:, :4], coarse[:, :4])
    torch.testing.assert_close(fine[:, 4], coarse[:, 4] / 2)


def test_targets_are_the_boxes_of_what_is_seen():
    ids, attributes = scenes()
    found = targets(ids, attributes, least=1)
    for row, slot in found.seen.nonzero().tolist():
        rows, columns = (ids[row] == slot + 1).nonzero().T
        left, right = columns.min().item(), columns.max().item() + 1
        top, bottom = rows.min().item(), rows.max().item() + 1
        box = torch.tensor([left + right, top + bottom, 2 * (right - left), 2 * (bottom - top)])
        torch.testing.assert_close(found.boxes[row, slot], box / 64)
        assert found.classes[row, slot] == attributes[row, slot, 3]
    visible = torch.stack([(ids == slot + 1).flatten(1).any(1) for slot in range(5)], 1)
    assert torch.equal(found.seen, visible)
    assert (found.boxes[~found.seen] == 0).all()


def test_what_is_hardly_seen_is_no_target():
    ids = torch.zeros(2, 16, 16, dtype=torch.uint8)
    ids[0, :3, :4], ids[1, :1, :11] = 1, 1
    found = targets(ids, torch.zeros(2, 5, 6, dtype=torch.int8))
    assert found.seen.sum(1).tolist() == [1, 0]
    assert targets(ids[:0], torch.zeros(0, 5, 6, dtype=torch.int8)).boxes.shape == (0, 5, 4)
