"""Reading pairs back from embeddings."""

import pytest
import readout
import torch

from composer_pl.evaluation.scenes.truth import PAIRS


def test_f1_of_one_right_of_two_found_and_one_there():
    found = torch.tensor([[True, True, False], [False, False, False], [False, True, True]])
    there = torch.tensor([[True, False, False], [True, False, False], [False, True, True]])
    assert readout.f1(found, there).tolist() == pytest.approx([2 / 3, 0, 1])


def test_pairs_of_scenes_are_those_of_the_truth(unseen):
    from composer_pl.evaluation.scenes.truth import whole_truth

    first = unseen.indices[0]
    rules = readout.RULES["A"]
    try:
        readout.RULES["A"] = None  # the fixture's scenes follow no rules
        assert torch.equal(readout.true_pairs(first, len(unseen)), whole_truth(unseen).pairs)
    finally:
        readout.RULES["A"] = rules


def test_what_an_embedding_holds_is_read_and_what_it_does_not_hold_is_not(monkeypatch):
    monkeypatch.setattr(readout, "EPOCHS", 10)
    generator = torch.Generator().manual_seed(0)
    pairs = torch.rand(1200, len(PAIRS), generator=generator) < 0.05
    noise = torch.randn(1200, 64, generator=generator)
    mixed = pairs.float() @ torch.randn(len(PAIRS), 64, generator=generator) + 0.1 * noise
    assert readout.read_back(mixed, pairs, held_out=200).mean() > 0.6
    assert readout.read_back(noise, pairs, held_out=200).mean() < 0.2
