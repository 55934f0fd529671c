"""The padded loss is ultralytics' own, number for number."""

import pytest
import torch

from composer_pl_instances.loss import padded_loss, plain_loss
from composer_pl_instances.networks import build_described
from composer_pl_instances.tiny import description


def padded_batch(count=3, slots=5, side=48):
    """Rectangles at random, some slots empty, in the picture 1 all of them."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(count, slots, 2, generator=generator) * 0.5
    extent = 0.1 + torch.rand(count, slots, 2, generator=generator) * 0.35
    seen = torch.rand(count, slots, generator=generator) < 0.7
    seen[0, 0], seen[1] = True, False
    boxes = torch.cat([corner + extent / 2, extent], 2) * seen[..., None]
    masks = torch.zeros(count, side, side, dtype=torch.uint8)
    for row, slot in seen.nonzero().tolist():
        left, top = (corner[row, slot] * side).int().tolist()
        right, bottom = ((corner + extent)[row, slot] * side).int().tolist()
        masks[row, top:bottom, left:right] = slot + 1
    return {
        "img": torch.rand(count, 3, 96, 96, generator=generator),
        "batch_idx": torch.arange(count).repeat_interleave(slots).float(),
        "cls": torch.randint(0, 7, (count * slots,), generator=generator).float(),
        "bboxes": boxes.reshape(-1, 4),
        "masks": masks,
    }


def without_empty_slots(batch, slots=5):
    """The same batch as the library wants it: rows of objects only, masks numbered by row."""
    kept = batch["bboxes"].sum(1) > 0
    number = kept.view(-1, slots).int().cumsum(1)
    table = torch.cat([torch.zeros_like(number[:, :1]), number], 1)
    masks = torch.stack([row[mask.long()] for row, mask in zip(table, batch["masks"], strict=True)])
    rows = {name: batch[name][kept] for name in ("batch_idx", "cls", "bboxes")}
    return {**batch, **rows, "masks": masks}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    torch.manual_seed(0)
    return build_described(description(), tmp_path_factory.mktemp("loss")).train()


def loss_and_gradients(network, criterion, batch):
    network.criterion = criterion
    network.zero_grad()
    parts, _ = network.loss(batch)
    parts.sum().backward()
    gradients = [weight.grad.clone() for weight in network.parameters() if weight.requires_grad]
    return parts.detach(), gradients


def test_padded_loss_and_its_gradients_equal_the_librarys(network):
    batch = padded_batch()
    parts, gradients = loss_and_gradients(network, padded_loss(network, 5), batch)
    expected, expected_gradients = loss_and_gradients(
        network, plain_loss(network), without_empty_slots(batch)
    )
    assert (expected[:4] > 0).all(), "every part was meant to count"
    torch.testing.assert_close(parts, expected)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-4 * other.abs().max().item())


def test_a_batch_without_any_object_trains_the_classes_only(network):
    batch = padded_batch()
    batch["bboxes"], batch["masks"] = batch["bboxes"] * 0, batch["masks"] * 0
    parts, gradients = loss_and_gradients(network, padded_loss(network, 5), batch)
    assert parts.isfinite().all()
    assert parts[2] > 0
    assert parts[[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]
    assert all(gradient.isfinite().all() for gradient in gradients)
