"""What is true of scenes is the renderer's; the truth scores 1 and other scenes less."""

from dataclasses import fields

import pytest
import torch

from composer_pl.data.scenes.vocabulary import COLORS, MATERIALS
from composer_pl.evaluation.scenes.judge import Reading
from composer_pl.evaluation.scenes.scores import SCORERS, scores
from composer_pl.evaluation.scenes.truth import PAIRS, claimed_pairs, whole_truth


@pytest.fixture(scope="module")
def truth(unseen):
    return whole_truth(unseen)


def perfect(truth):
    """A reading that says what is true."""
    one_hot = torch.nn.functional.one_hot
    return Reading(
        shapes=truth.shapes,
        colors=truth.colors,
        depth=truth.depth,
        outlines=truth.outlines.float() - 0.5,
        pairs=truth.pairs.float() - 0.5,
        size_materials=truth.size_materials.float() - 0.5,
        materials=truth.materials.float() - 0.5,
        count=one_hot(truth.count, 6).float(),
        floor=one_hot(truth.floor, 6).float(),
        sky=one_hot(truth.sky.clamp(min=0), 6).float(),
    )


def every_score(truth, reading, pictures):
    known = torch.ones_like(truth.outlines)
    return {
        (name, scorer): score
        for name, scorers in SCORERS.items()
        for scorer, score in zip(
            scorers,
            scores(name, pictures, reading, truth, claimed=truth.pairs, known=known),
            strict=True,
        )
    }


def test_true_pictures_read_rightly_score_one_everywhere(truth):
    for score in every_score(truth, perfect(truth), truth.image).values():
        torch.testing.assert_close(score.float(), torch.ones(len(truth)), rtol=0, atol=1e-4)


def test_pictures_of_other_scenes_score_less_everywhere(truth):
    rows = torch.arange(len(truth)).roll(1)
    for score in every_score(truth, perfect(truth[rows]), truth.image[rows]).values():
        assert score.mean() < 0.97


def test_truth_is_that_of_the_scenes(unseen, truth):
    for row, scene in enumerate(unseen.scenes):
        said = {f"{thing.color} {thing.shape}" for thing in scene.objects}
        said |= {f"{t.second_color} {t.shape}" for t in scene.objects if t.second_color}
        assert {PAIRS[i] for i in truth.pairs[row].nonzero().flatten().tolist()} == said
        materials = {MATERIALS[i] for i in truth.materials[row].nonzero().flatten().tolist()}
        assert materials == {thing.material for thing in scene.objects}
        assert truth.count[row] == len(scene.objects)
        shown = truth.colors[row, :-1].amax((1, 2)) > 0.49
        colors = {thing.color for thing in scene.objects}
        assert colors <= {c for c, there in zip(COLORS, shown.tolist(), strict=True) if there}


def test_shares_of_a_pixel_sum_to_one(truth):
    for shares in (truth.shapes, truth.colors):
        torch.testing.assert_close(shares.sum(1), torch.ones_like(shares[:, 0]))


def test_truth_of_rows_is_rows_of_the_truth(truth):
    rows = torch.tensor([3, 1])
    for field in fields(truth):
        assert torch.equal(getattr(truth[rows], field.name), getattr(truth, field.name)[rows])


def test_claimed_pairs_are_in_the_scene(unseen, truth):
    claimed = claimed_pairs(unseen.scenes)
    assert claimed.any(1).all()
    assert not (claimed & ~truth.pairs).any()
