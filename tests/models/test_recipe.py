"""Facts about sampling recipes as data."""

import json

import pytest

from composer_pl.errors import UserInputError
from composer_pl.models.recipe import (
    ConditionGuidance,
    SamplingRecipe,
    load_recipe,
    recipe_from_dict,
    recipe_to_dict,
)

FULL = SamplingRecipe(
    sampler="ddim",
    steps=7,
    guidance=4.5,
    guidance_start=0.1,
    guidance_end=0.9,
    eta=0.3,
    clip_x_0=False,
    threshold=0.995,
    rescale=0.7,
    conditions={
        "sketch": ConditionGuidance(weight=0.5, start=0.2, end=0.6, region="0,0,1,0.5"),
        "caption": ConditionGuidance(weight=2),
    },
    max_batch=3,
)


def test_a_recipe_comes_back_from_json():
    assert recipe_from_dict(json.loads(json.dumps(recipe_to_dict(FULL)))) == FULL
    assert recipe_from_dict({}) == SamplingRecipe()


def test_file_then_overrides_the_last_one_wins(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("guidance: 2\nsteps: 9\nconditions: {sketch: 0.5, color: {end: 0.4}}\n")
    found = load_recipe(path, ["steps=11", "steps=12", "conditions.sketch.start=0.1"])
    assert (found.guidance, found.steps) == (2, 12)
    assert found.conditions == {
        "sketch": ConditionGuidance(weight=0.5, start=0.1),
        "color": ConditionGuidance(end=0.4),
    }
    assert load_recipe(None, ["conditions.depth=0.25"], base=found).conditions["depth"].weight == (
        0.25
    )
    assert load_recipe(None, ["threshold=null"], base=FULL).threshold is None


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("guidence=3", "did you mean 'guidance'?"),
        ("steps=two", "steps must be a whole number, found 'two'"),
        ("steps=true", "found True"),
        ("steps=0", "steps must be in 1..1000"),
        ("sampler=euler", "sampler must be dpmpp_2m or ddim"),
        ("threshold=0", "threshold must be a percentile"),
        ("rescale=1.5", "rescale must be in 0..1"),
        ("guidance_start=0.8", None),
        ("guidance_end=1.5", "start and end of guidance"),
        ("conditions.sketch.start=0.9", None),
        ("conditions.sketch.wieght=1", "did you mean 'weight'?"),
        ("conditions=3", "conditions must be a mapping"),
        ("conditions=[sketch]", "conditions must be a mapping from name to settings, found ['sk"),
        ("conditions=", None),
        ("conditions.sketch=[1]", "conditions.sketch.weight must be a number, found [1]"),
        ("conditions.sketch.weight.x=1", "conditions.sketch.weight must be a number, found {"),
        ("conditions.sketch.region=[a]", "conditions.sketch.region must be text, found ['a']"),
        ("guidance=[3]", "guidance must be a number, found [3]"),
        ("guidance={w: 3}", "guidance must be a number, found {'w': 3}"),
        ("guidance.w=3", "guidance must be a number, found {'w': 3}"),
        ("steps=[", "by --with 'steps=['"),
        ("guidance={", "by --with 'guidance={': expected NAME=VALUE"),
        ("threshold=high", "threshold must be a number or nothing, found 'high'"),
        (f"steps={'9' * 5000}", "Next:"),
        ("eta=0.5", "eta needs sampler ddim"),
        ("guidance=-1e9", "guidance must be a number in -1000..1000, found -1000000000.0"),
        ("guidance=.inf", "found inf"),
        (f"guidance={'9' * 400}", "found one of 400 characters"),
        ("conditions.sketch=.nan", "weight of a condition must be a number in -1000..1000"),
        ("conditions.sketch.weight=-1001", "found -1001"),
        ("conditions.sketch.weight=-1000", None),
        ("guidance", "expected NAME=VALUE"),
        ("=3", "expected NAME=VALUE"),
    ],
)
def test_mistakes_name_the_setting(override, problem):
    if problem is None:
        load_recipe(None, [override])
        return
    with pytest.raises(UserInputError, match="recipe") as caught:
        load_recipe(None, [override])
    assert problem in str(caught.value)
    assert "Next:" in str(caught.value)


@pytest.mark.parametrize("content", [
    "- 1\n- 2\n", "a: [", "\x00\x01", "3", "conditions: [sketch]", "conditions: 3",
    "conditions: {sketch: [1]}", "conditions: {sketch: {weight: {a: 1}}}", "conditions: {[1]: 2}",
    "steps: [3]", "sampler: {a: 1}", "guidance: ${absent}", "[1]: 2",
])  # fmt: skip
def test_a_file_that_is_no_recipe_is_one_line(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(UserInputError, match="recipe"):
        load_recipe(path)
    with pytest.raises(UserInputError, match="Reading a sampling recipe"):
        load_recipe(tmp_path / "absent.yaml")
