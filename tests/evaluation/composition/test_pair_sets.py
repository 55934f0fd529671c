"""Sets of pairs: which picture gives which part, who draws from what, and what tables say."""

from dataclasses import replace

import pytest
import torch
from fakes import FakeCaption, FakeGlobal, FakeLocal, FakeRandom
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.evaluation.composition.cases import Cases, one_object
from composer_pl.evaluation.composition.pair_reporting import (
    held_against_seen,
    pair_measurements,
    pair_parts,
    summary,
)
from composer_pl.evaluation.composition.pair_sets import (
    BLIND,
    CEILING,
    Judged,
    first_of_each,
    judge_set,
    merged,
    pair_set,
    possible_sets,
)
from composer_pl.evaluation.composition.pairs import HELD_OUT, PAIRS, SEEN
from composer_pl.evaluation.report import Grid, Table
from composer_pl.evaluation.samples import model_extraction
from composer_pl.evaluation.scenes.judge import Judge
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe

RECIPE = SamplingRecipe(steps=1, guidance=1.0, max_batch=2)


def cases_of(pairs, scene):
    """Cases that ask for pairs; what they show tells their row: pictures are all of one grey."""
    count = len(pairs)
    grey = (torch.arange(count) * 7 + 20).to(torch.uint8)
    return Cases(
        scenes=[scene] * count,
        pixels=grey[:, None, None, None].expand(-1, 3, 128, 128).contiguous(),
        asked=torch.tensor([PAIRS.index(pair) for pair in pairs]),
        other=torch.full((count,), -1),
        texts=[f"text {row}" for row in range(count)],
    )


@pytest.fixture(scope="module")
def scene():
    return one_object(SEEN[:1], 1).scenes[0]


@pytest.fixture
def asked(scene):
    held, pool = cases_of(HELD_OUT[:3], scene), cases_of(SEEN, scene)
    return pair_set("two pictures", held=held, seen=pool, pool=pool)


def test_parts_of_two_pictures_come_from_donors_of_seen_pairs(asked):
    sources = asked.sources["held out"]
    assert list(sources) == ["instances", "color"]
    for row, pair in enumerate(HELD_OUT[:3]):
        shape_from = SEEN[sources["instances"].rows[row]]
        color_from = SEEN[sources["color"].rows[row]]
        assert shape_from.split()[1] == pair.split()[1]
        assert color_from.split()[0] == pair.split()[0]
        assert pair not in (shape_from, color_from)


def test_models_draw_from_the_values_of_the_sources_and_the_blind_one_from_nothing(asked):
    conditions = {"caption": FakeCaption(), "instances": FakeLocal(), "color": FakeGlobal()}
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), conditions).eval()
    given = []

    def draw(model, values, recipe, keys):
        """A picture whose red is the number of its key, green the colour that it was given."""
        given.append(dict(values))
        picture = torch.zeros(len(keys), 3, 16, 16)
        picture[:, 0] = (keys % 1000 / 1000)[:, None, None]
        if values:
            picture[:, 1] = values["color"][:, 0, None, None]
        return picture

    few = replace(asked, groups={"held out": asked.groups["held out"]})
    judged = judge_set(
        few, {"model": model}, model_extraction(model), Judge(8).eval(), RECIPE,
        blind="model", draw=draw,
    )  # fmt: skip
    drawn = judged.pictures["held out"]
    assert list(drawn) == ["model", BLIND, CEILING]
    assert torch.equal(drawn["model"][:, 0], drawn[BLIND][:, 0])  # the same noise
    assert drawn[BLIND][:, 1].abs().max() == 0
    pool = asked.groups["seen"]
    rows = asked.sources["held out"]["color"].rows
    expected = pool.pixels[rows].float().mean((2, 3))[:, 0] / 127.5 - 1
    torch.testing.assert_close(drawn["model"][:, 1, 0, 0], expected)
    assert [sorted(values) for values in given] == [["color", "instances"], []] * 2
    assert set(judged.marks["held out"]["model"]) >= {"pair right", "pair right, shuffled"}


def test_what_is_drawn_for_a_value_hangs_on_its_row_and_not_on_the_batch(asked):
    model = ComposerModel(
        TINY, ProcessConfig(prediction="v"), {"instances": FakeRandom(), "color": FakeGlobal()}
    ).eval()
    few = replace(asked, groups={"held out": asked.groups["held out"]})
    found = []
    for batch in (1, 3):
        given = []

        def draw(model, values, recipe, keys, given=given):
            given.append(values["instances"])
            return torch.zeros(len(keys), 3, 16, 16)

        recipe = replace(RECIPE, max_batch=batch)
        judge_set(
            few, {"model": model}, model_extraction(model), Judge(8).eval(), recipe, draw=draw
        )
        found.append(torch.cat(given))
    assert torch.equal(*found)


def judged_with(asked, held, seen):
    """A set of which the shares of right pairs are given."""
    marks = {"held out": held, "seen": seen}
    return Judged(
        set=asked,
        marks={
            group: {arm: {"pair right": mark} for arm in ("model", CEILING)}
            for group, mark in marks.items()
        },
    )


def test_held_out_over_seen_is_the_ratio_of_the_means(asked):
    held = torch.tensor([1.0, 0.0, 1.0])
    seen = torch.ones(len(SEEN))
    found = held_against_seen(judged_with(asked, held, seen), "model")
    assert found.value == pytest.approx(2 / 3)
    assert found.low == 0
    assert found.high == 1
    nothing = held_against_seen(judged_with(asked, held, 0 * seen), "model")
    assert nothing.value != nothing.value


def test_intervals_resample_pairs_not_pictures(asked, scene):
    """Eight pictures of a pair that are all alike count as one."""
    held = cases_of([pair for pair in HELD_OUT for _ in range(8)], scene)
    right = (torch.arange(24) % 2).repeat_interleave(8).float()
    judged = judged_with(replace(asked, groups={"held out": held}), right, right)
    found = summary(judged, "held out", "model")["pair right"]
    assert (found.high - found.low) / (2 * 1.96 * 0.5 / 24**0.5) == pytest.approx(1, abs=0.15)


def test_a_report_has_a_row_an_arm_and_names_the_parts(asked):
    conditions = {"instances": FakeLocal(), "color": FakeGlobal()}
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), conditions).eval()
    judge, extraction = Judge(8).eval(), model_extraction(model)
    few = replace(
        asked,
        groups={name: cases.chosen(torch.arange(3)) for name, cases in asked.groups.items()},
        sources={
            group: {n: replace(s, rows=s.rows[:3]) for n, s in sources.items()}
            for group, sources in asked.sources.items()
        },
    )
    runs = [judge_set(few, {name: model}, extraction, judge, RECIPE) for name in ("one", "two")]
    judged = merged(runs)
    parts = pair_parts(judged)
    table, ratio = (part for part in parts if isinstance(part, Table))
    assert [row[:2] for row in table.rows] == [
        [group, arm] for group in ("held out", "seen") for arm in ("one", "ceiling", "two")
    ]
    assert [row[0] for row in ratio.rows] == ["one", "two"]
    assert sum(isinstance(part, Grid) for part in parts) == 1
    assert table.rows[0][2:] == table.rows[2][2:]  # the same model from the same noise
    measured = pair_measurements(judged, "one", {"model": "x"})
    assert {m.count for m in measured if "held out, two" in m.measure} == {3}


def test_which_sets_a_model_can_be_asked():
    assert possible_sets(["caption", "sketch"]) == ["caption", "two objects"]
    assert possible_sets(["color", "instances"]) == ["two pictures"]


def test_the_first_of_each_value():
    assert first_of_each(torch.tensor([4, 4, 1, 1, 1, 7])).tolist() == [0, 2, 5]
