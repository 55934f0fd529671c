"""Marks of the judge's answers, and where parts come from, in closed form."""

import pytest
import torch

from composer_pl.data.scenes.vocabulary import COLORS, SHAPES
from composer_pl.evaluation.composition.cases import PLAIN, donors, one_object, pair_of, two_objects
from composer_pl.evaluation.composition.marks import by_cluster, nearest_seen, pair_marks, two_marks
from composer_pl.evaluation.composition.pairs import HELD_OUT, PAIRS, SEEN

ASKED = torch.tensor([PAIRS.index(pair) for pair in HELD_OUT]).repeat_interleave(10)


def saying(pairs):
    """Logits of a judge that is sure of one answer for each picture."""
    return torch.nn.functional.one_hot(torch.as_tensor(pairs), 56).float() - 0.5


def test_every_value_stays_as_frequent_as_the_others():
    assert len(HELD_OUT) == 24
    assert len(SEEN) == 32
    for color in COLORS:
        assert sum(pair.startswith(color) for pair in HELD_OUT) == 3
    assert {sum(pair.endswith(shape) for pair in HELD_OUT) for shape in SHAPES} == {3, 4}


def test_a_perfect_model_is_right_and_its_floor_is_zero():
    marks = pair_marks(saying(ASKED), ASKED)
    for name in ("pair right", "color right", "shape right"):
        assert (marks[name] == 1).all()
    assert (marks["pair right, shuffled"] == 0).all()
    assert marks["confused with seen"].sum() == 0


def test_a_model_that_ignores_what_is_asked_is_on_its_floor():
    marks = pair_marks(saying(torch.full_like(ASKED, PAIRS.index("red cube"))), ASKED)
    assert marks["pair right"].mean() == pytest.approx(1 / 24)
    assert marks["pair right, shuffled"].mean() == pytest.approx(1 / 24)


def test_confusion_is_with_a_seen_pair_that_shares_one_value():
    asked = torch.tensor([PAIRS.index("red cube")] * 4)
    assert "red sphere" in HELD_OUT
    answers = ["red cylinder", "yellow cube", "red sphere", "green sphere"]
    logits = saying([PAIRS.index(answer) for answer in answers])
    assert pair_marks(logits, asked)["confused with seen"].tolist() == [1, 1, 0, 0]
    assert nearest_seen(logits, asked) == 0.25


def test_two_objects_are_found_both_or_swapped():
    asked, other = (torch.tensor([PAIRS.index(p)]) for p in ("red cube", "blue cone"))
    mixed = [PAIRS.index(pair) for pair in ("red cone", "blue cube")]
    right = two_marks(saying(asked).maximum(saying(other)), asked, other)
    wrong = two_marks(saying(mixed[:1]).maximum(saying(mixed[1:])), asked, other)
    names = ("pair found", "both found", "swapped")
    assert [right[name].item() for name in names] == [1, 1, 0]
    assert [wrong[name].item() for name in names] == [0, 0, 1]


def test_donors_share_exactly_one_value():
    asked = torch.arange(56)
    pool = torch.tensor([PAIRS.index(pair) for pair in SEEN])
    shapes, colors = donors(asked, pool, seed=1)
    for pair, shape_from, color_from in zip(asked, pool[shapes], pool[colors], strict=True):
        assert pair % 7 == shape_from % 7
        assert pair // 7 != shape_from // 7
        assert pair // 7 == color_from // 7
        assert pair % 7 != color_from % 7


def test_means_of_clusters():
    mark, clusters = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([4, 4, 2])
    assert by_cluster(mark, clusters, PAIRS) == {PAIRS[2]: 1.0, PAIRS[4]: 0.5}


def test_each_scene_has_what_is_asked_and_nothing_patterned():
    chosen = (*HELD_OUT[:2], SEEN[0])
    cases = one_object(chosen, 1)
    assert [PAIRS[index] for index in cases.asked] == list(chosen)
    assert [pair_of(scene.objects[0]) for scene in cases.scenes] == list(chosen)
    assert cases.chosen(torch.tensor([2])).texts == [cases.texts[2]]
    two = two_objects(HELD_OUT[:2], 1)
    for row, scene in enumerate(two.scenes):
        names = {PAIRS[two.asked[row]], PAIRS[two.other[row]]}
        assert {pair_of(thing) for thing in scene.objects} == names
        assert PAIRS[two.other[row]] in SEEN
        assert len({word for name in names for word in name.split()}) == 4
        assert {thing.material for thing in scene.objects} <= set(PLAIN)
