"""Twins differ in colour alone, and every aspect is 1 on what it is measured against."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/tasks"))

from arms import HELD_OUT
from twins import recolored, twins

from composer_pl.evaluation.scenes.truth import PAIRS, claimed_pairs, whole_truth


def test_twins_are_the_same_things_of_other_colours(unseen):
    other = twins(unseen)
    for scene, twin in zip(unseen.scenes, other.scenes, strict=True):
        for thing, its in zip(scene.objects, twin.objects, strict=True):
            assert thing.color != its.color
            assert (thing.shape, thing.material, thing.position) == (
                its.shape,
                its.material,
                its.position,
            )
    assert torch.equal(other.ids, unseen.ids)
    outside = (unseen.ids == 0)[:, None].expand(-1, 3, -1, -1)
    same = other.pixels[outside] == unseen.pixels[outside]
    assert same.float().mean() > 0.9  # but for mirrors and edges
    assert (other.pixels[~outside] != unseen.pixels[~outside]).float().mean() > 0.5


def test_the_truth_of_twins_is_that_of_their_descriptions(unseen):
    other = twins(unseen)
    for row, scene in zip(whole_truth(other).pairs, other.scenes, strict=True):
        wanted = {f"{t.color} {t.shape}" for t in scene.objects}
        wanted |= {f"{t.second_color} {t.shape}" for t in scene.objects if t.second_color}
        assert {pair for pair, there in zip(PAIRS, row.tolist(), strict=True) if there} == wanted


def test_twins_avoid_pairs_that_no_model_has_seen_where_they_can(unseen):
    def bad(scene):
        colors = ((t.color, t.second_color, t.shape) for t in scene.objects)
        return any(f"{c} {shape}" in HELD_OUT for one, two, shape in colors for c in (one, two))

    for scene, twin in zip(unseen.scenes, twins(unseen).scenes, strict=True):
        if bad(twin):
            assert all(bad(recolored(scene, move)) for move in range(1, 8))


@pytest.mark.parametrize("name", ["colours", "hues", "grey levels", "outside the region"])
def test_aspects_by_pixels_are_1_on_the_truth_and_less_on_others(unseen, name):
    from aspects import ASPECTS, Judged

    truth = whole_truth(unseen)
    wanted = Judged(truth, claimed_pairs(unseen.scenes), unseen.ids == 1)
    score = ASPECTS[name]
    torch.testing.assert_close(score(None, truth.image, wanted), torch.ones(len(unseen)))
    assert score(None, truth.image, wanted.rolled(1)).mean() < 0.95
