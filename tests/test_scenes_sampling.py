"""What scenes hold: rules, even margins, correlations, and refusals."""

from collections import Counter

import pytest

from composer_pl.data.scenes.attributes import AttributeTable
from composer_pl.data.scenes.claims import has
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.rules import SceneRules, read_pair
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.vocabulary import ATTRIBUTES
from composer_pl.errors import ConfigError

HELD_OUT = ("red sphere", "metal cube", "blue metal", "large cone", "yellow torus", "green shiny")


def objects_of(rules, count=700):
    sampler = SceneSampler(5, rules)
    return [thing for i in range(count) for thing in sampler.scene(i).objects]


def test_a_scene_is_a_function_of_seed_and_number():
    assert SceneSampler(3).scene(12) == SceneSampler(3).scene(12)
    assert SceneSampler(3).scene(12) != SceneSampler(4).scene(12)
    assert SceneSampler(3).scene(12) != SceneSampler(3).scene(13)


def test_a_scene_survives_json():
    import json

    scene = SceneSampler(3).scene(4)
    assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_excluded_pairs_never_occur_and_every_margin_stays_even():
    rules = SceneRules(excluded=HELD_OUT)
    found = objects_of(rules)
    for text in HELD_OUT:
        pair = read_pair(text)
        assert not any(has(thing, pair) for thing in found)
        if "color" in pair:
            second = {**pair, "second_color": pair["color"]}
            del second["color"]
            assert not any(has(thing, second) for thing in found)
    table = AttributeTable(rules)
    for attribute, values in ATTRIBUTES.items():
        margin = table.margin(attribute)
        for value in values:
            assert margin[value] == pytest.approx(1 / len(values), abs=1e-6)
        counts = Counter(getattr(thing, attribute) for thing in found)
        expected = len(found) / len(values)
        assert all(abs(counts[value] - expected) < 5 * expected**0.5 for value in values)


def test_every_scene_has_a_required_pair_and_each_gets_its_turn():
    required = ("red sphere", "metal cube", "small yellow")
    sampler = SceneSampler(1, SceneRules(required=required))
    seen = Counter()
    for i in range(150):
        scene = sampler.scene(i)
        there = [t for t in required if any(has(o, read_pair(t)) for o in scene.objects)]
        assert there
        seen.update(there)
    assert all(seen[text] > 28 for text in required)


def test_a_correlation_has_its_probability_and_leaves_margins_even():
    rules = SceneRules(correlated={"red sphere": 0.9, "blue cube": 0.0})
    table = AttributeTable(rules)
    weight = dict.fromkeys(("red", "red sphere", "blue cube"), 0.0)
    for cell, w in zip(table.cells, table.weights.tolist(), strict=True):
        weight["red"] += w * (cell["color"] == "red")
        weight["red sphere"] += w * has_all(cell, "red sphere")
        weight["blue cube"] += w * has_all(cell, "blue cube")
    assert weight["red sphere"] / weight["red"] == pytest.approx(0.9)
    assert weight["blue cube"] == 0
    for attribute, values in ATTRIBUTES.items():
        for share in table.margin(attribute).values():
            assert share == pytest.approx(1 / len(values), abs=1e-4)


def has_all(cell, text):
    return all(cell[name] == value for name, value in read_pair(text).items())


def test_lists_and_counts_limit_scenes():
    rules = SceneRules(
        min_objects=2, max_objects=2, shapes=["cone"], colors=["red", "blue"], skies=["night"],
        floors=["planks"],
    )  # fmt: skip
    sampler = SceneSampler(0, rules)
    for i in range(40):
        scene = sampler.scene(i)
        assert len(scene.objects) == 2
        assert {o.shape for o in scene.objects} == {"cone"}
        assert {o.color for o in scene.objects} <= {"red", "blue"}
        assert (scene.surroundings.sky, scene.surroundings.floor) == ("night", "planks")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_objects": 9}, r"more do not fit.*found min_objects 1 and max_objects 9"),
        ({"min_objects": 4, "max_objects": 2}, "min_objects 4"),
        ({"colors": ["rde"]}, "found 'rde'; did you mean 'red'"),
        ({"shapes": ["spere"]}, "did you mean 'sphere'"),
        ({"floors": []}, "found none"),
        ({"excluded": ["red spheer"]}, "did you mean 'sphere'"),
        ({"excluded": ["red blue"]}, "two values of two attributes"),
        ({"correlated": {"red sphere": 1.5}}, "found 1.5"),
    ],
)
def test_a_request_that_names_the_unknown_is_refused_in_one_line(wrong, message):
    with pytest.raises(ConfigError, match=message) as caught:
        SceneRules(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"excluded": ["red sphere"], "required": ["sphere red"]}, "required pair 'sphere red'"),
        (
            {"colors": ["red"], "shapes": ["cone"], "excluded": ["red cone"]},
            "found none after 1 excluded",
        ),
        (
            {"excluded": ["red sphere"], "correlated": {"red sphere": 0.5}},
            "50% of the red objects to be red sphere",
        ),
    ],
)
def test_contradictory_rules_are_refused_in_one_line(wrong, message):
    with pytest.raises(ConfigError, match=message) as caught:
        SceneSampler(0, SceneRules(**wrong))
    assert "\n" not in str(caught.value)
