"""The arms: a perfect painter is at the ceiling, a blind one at the floor."""

from dataclasses import replace

import pytest
import torch
from control_fakes import PLUGINS, blind, grey, perfect, samples, subject
from fakes import FakeCaption, FakeGlobal, FakeLocal
from tiny import TINY

from composer_pl.conditions.extraction import Extraction
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.evaluation.control.baselines import Baseline, baseline_of
from composer_pl.evaluation.control.measure import (
    ALL,
    ALONE,
    CEILING,
    FLOOR,
    NONE,
    TRUTH,
    ControlPlan,
    drawing_of,
    measure_control,
    with_arm,
)
from composer_pl.evaluation.control.report import control_parts
from composer_pl.evaluation.control.results import beside, lines_of, pair_way, verdicts
from composer_pl.evaluation.control.scorers import OWN, panel
from composer_pl.evaluation.control.subjects import wanted_of
from composer_pl.evaluation.report import Table
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe


def measured(wanted, extraction, draw, plan=None, **settings):
    names = list(extraction.plugins)
    scorers = panel(extraction, names, scenes=False)
    return measure_control(names, scorers, wanted, draw, plan or ControlPlan(), **settings)


def test_a_perfect_painter_is_at_the_ceiling_and_another_picture_below():
    wanted, extraction = subject(12)
    control = measured(wanted, extraction, perfect(wanted), ControlPlan(pairs=5))
    lines = lines_of(control)
    assert {line.scorer.condition for line in lines} == set(PLUGINS)
    for line in lines:
        assert line.way.value == pytest.approx(1)
        assert line.whole_way.value == pytest.approx(1)
        assert line.floor.value < line.ceiling.value - 0.01
        assert not line.ignored
        for other in control.names:
            way = pair_way(control, line.scorer, other)
            assert (way is None) == (other == line.scorer.condition)
            assert way is None or way.value == pytest.approx(1)


def test_the_true_picture_scores_one_with_its_own_extractor():
    wanted, extraction = subject(6)
    control = measured(wanted, extraction, blind)
    for name in ("color", "sketch"):  # but for resizing and 8 bits
        assert control.scores[name, OWN, CEILING].min() > 0.97


@pytest.mark.parametrize("painter", [blind, grey])
def test_a_condition_blind_painter_is_at_the_floor_in_every_row(painter):
    wanted, extraction = subject(80)
    lines = lines_of(measured(wanted, extraction, painter))
    assert len(lines) >= 5
    for line in lines:
        assert line.way.value == pytest.approx(0, abs=0.12)
        assert line.blind_way.value == pytest.approx(0, abs=0.12)
        assert line.blind_at_floor
        assert 0.0 in line.way
    if painter is grey:  # the same picture everywhere: not by chance but exactly
        for line in lines:
            assert line.way.value == pytest.approx(0, abs=1e-6)
    assert any("score like chance" in said for said in verdicts(lines))


def test_a_blind_row_that_knows_the_pictures_is_told():
    wanted, extraction = subject(12)
    lines = lines_of(measured(wanted, extraction, blind, blind=perfect(wanted)))
    assert not any(line.blind_at_floor for line in lines)


def test_the_floor_holds_pictures_against_the_next_condition():
    wanted, extraction = subject(5)
    control = measured(wanted, extraction, perfect(wanted), ControlPlan(chunk=2))
    moved = wanted[torch.tensor([1, 2, 3, 4, 0])]
    plugin = extraction.plugins["color"]
    true = (control.pictures[TRUTH].float() / 127.5 - 1).mean((2, 3))
    torch.testing.assert_close(
        control.scores["color", OWN, FLOOR],
        1 - plugin.distance(true, moved.values["color"]),
        atol=2e-3,
        rtol=0,
    )


def tiny_model():
    torch.manual_seed(0)
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), PLUGINS).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_chunks_change_nothing():
    wanted, extraction = subject(5)
    draw = drawing_of(tiny_model(), SamplingRecipe(steps=1, guidance=2.0))
    found = [
        measured(wanted, extraction, draw, ControlPlan(pairs=3, again=4, chunk=chunk))
        for chunk in (2, 5)
    ]
    assert found[0].scores.keys() == found[1].scores.keys()
    for key, score in found[0].scores.items():
        torch.testing.assert_close(score, found[1].scores[key], atol=0.02, rtol=0, equal_nan=True)
    for arm, pictures in found[0].pictures.items():
        apart = (pictures.int() - found[1].pictures[arm].int()).abs()
        assert apart.max() <= 1  # a rounding to 8 bits
    assert len(found[0].pictures["color + sketch"]) == 3
    assert len(found[0].scores["color", OWN, with_arm("sketch")]) == 3
    assert {name: len(each) for name, each in found[0].again.items()} == dict.fromkeys(PLUGINS, 4)


def test_arms_begin_from_the_same_noise_and_again_from_another():
    wanted, extraction = subject(4)
    seen = {}

    def draw(values, keys):
        seen.setdefault(tuple(values), []).extend(keys.tolist())
        return grey(values, keys)

    told = []
    measured(
        wanted, extraction, draw, ControlPlan(again=2), progress=lambda *done: told.append(done)
    )
    assert seen[()] == seen[("color", "sketch", "grey")] == seen[("color",)][:4]
    assert not set(seen[("color",)][4:]) & set(seen[()])
    assert told[-1][0] == told[-1][1] == 4 * 5 + 2 * 3


def test_a_baseline_is_scored_on_the_same_pictures():
    wanted, extraction = subject(12)
    knowing = Baseline(
        label="other", names=("color", "sketch"), draw=perfect(wanted), sha256="0"
    ).among(("sketch",))
    control = measured(wanted, extraction, grey, rivals=knowing.rivals())
    assert set(control.pictures) >= {"sketch, other"}
    (found,) = [each for each in beside(control, [knowing]) if each.scorer.name == OWN]
    assert found.scorer.condition == "sketch"
    assert found.given == ALONE
    assert found.way.value == pytest.approx(1)
    assert found.ahead.value == pytest.approx(-1)
    assert all(line.way.value == pytest.approx(0, abs=1e-6) for line in lines_of(control))


def test_a_blind_baseline_is_at_its_own_floor_and_not_off_the_models():
    """A grey picture fits another picture's conditions better or worse than a true one does."""
    wanted, extraction = subject(12)
    deaf = Baseline(label="deaf", names=tuple(PLUGINS), draw=grey, sha256="0")
    control = measured(wanted, extraction, perfect(wanted), rivals=deaf.rivals())
    lines = {(line.scorer.condition, line.scorer.name): line for line in lines_of(control)}
    moved = 0
    for each in beside(control, [deaf]):
        assert each.way.value == pytest.approx(0, abs=1e-6)
        assert each.ahead.value == pytest.approx(1)
        line = lines[each.scorer.condition, each.scorer.name]
        score = control.scores[each.scorer.condition, each.scorer.name, deaf.arm(ALL)]
        moved += abs(float(score.nanmean()) - line.floor.value) > 0.02
    assert moved


def test_a_baseline_is_as_far_as_when_it_is_measured_itself():
    wanted, extraction = subject(12)
    other = drawing_of(tiny_model(), SamplingRecipe(steps=1, guidance=2.0))
    itself = lines_of(measured(wanted, extraction, other))
    rival = Baseline(label="other", names=tuple(PLUGINS), draw=other, sha256="0")
    found = beside(measured(wanted, extraction, grey, rivals=rival.rivals()), [rival])
    alone = [each.way for each in found if each.given == ALONE]
    assert [way.value for way in alone] == pytest.approx([line.way.value for line in itself])
    assert [way.high for way in alone] == pytest.approx([line.way.high for line in itself])
    whole = [each.way.value for each in found if each.given == ALL]
    assert whole == pytest.approx([line.whole_way.value for line in itself])


def test_a_baseline_with_all_given_is_held_against_the_model_where_both_are_given_the_same():
    wanted, extraction = subject(12)
    whole = Baseline(label="whole", names=tuple(PLUGINS), draw=perfect(wanted), sha256="0")
    part = Baseline(label="part", names=("color", "sketch"), draw=perfect(wanted), sha256="1")
    rivals = [*whole.rivals(), *part.rivals()]
    control = measured(wanted, extraction, grey, rivals=rivals)
    together = {
        each.baseline.label: each
        for each in beside(control, [whole, part])
        if each.given == ALL and (each.scorer.condition, each.scorer.name) == ("sketch", OWN)
    }
    for each in together.values():
        assert each.way.value == pytest.approx(1)
    assert together["whole"].own.value == pytest.approx(0, abs=1e-6)
    assert together["whole"].ahead.value == pytest.approx(-1)
    assert together["part"].own is together["part"].ahead is None  # the model had more to go by
    (table,) = [
        part
        for part in control_parts(
            control, lines_of(control), {}, texts=[""] * 12, baselines=[whole, part]
        )
        if isinstance(part, Table) and part.title == "Baselines"
    ]
    rows = [row[2:4] for row in table.rows if row[0] == "sketch"]
    assert rows == [["whole", "alone"], ["whole", "all 3"], ["part", "alone"], ["part", "all 2"]]


def test_a_baseline_must_draw_alike_and_share_a_condition():
    model = tiny_model()
    other = ComposerModel(TINY, ProcessConfig(prediction="v"), {"sketch": FakeLocal(drop_prob=0.1)})
    recipe = SamplingRecipe(steps=1)
    found = baseline_of("one", other, model, ("color", "sketch"), recipe, sha256="0")
    assert found.names == ("sketch",)  # how often it is dropped is its own affair
    assert found.note == ""
    finer = ComposerModel(replace(TINY, hint_scale=4), ProcessConfig(prediction="v"), PLUGINS)
    part = baseline_of("fine", finer, model, ("color", "sketch"), recipe, sha256="0")
    assert (part.names, part.apart) == (("color",), ("sketch",))
    assert "is not given sketch" in part.note
    with pytest.raises(UserInputError, match="expected a condition of color"):
        baseline_of("one", other, model, ("color",), recipe, sha256="0")
    large = ComposerModel(replace(TINY, resolution=32), ProcessConfig(prediction="v"), PLUGINS)
    with pytest.raises(UserInputError, match="of the same side, 16 pixels, found 32"):
        baseline_of("one", large, model, ("color",), recipe, sha256="0")


def test_a_model_of_one_condition_has_no_company():
    wanted, extraction = subject(6, {"color": FakeGlobal()})
    control = measured(wanted, extraction, perfect(wanted), ControlPlan(pairs=6))
    assert set(control.pictures) == {TRUTH, NONE, "color"}
    assert all(line.whole is None for line in lines_of(control))


def test_names_of_conditions_and_arms_are_not_mixed_up():
    wanted, extraction = subject(6, {"floor": FakeLocal(), "all": FakeGlobal()})
    control = measured(wanted, extraction, perfect(wanted), ControlPlan(pairs=6))
    assert set(control.pictures) == {TRUTH, NONE, "floor", "all", "floor + all", ALL}
    for line in lines_of(control):
        assert line.floor.value < line.alone.value


def test_conditions_without_what_they_need_are_left_out_and_named():
    extraction = Extraction({**PLUGINS, "caption": FakeCaption()}, value_size=(32, 32))
    found = samples(4, captions=["a", "", "b", "c"])
    wanted, notes = wanted_of(
        found, extraction, list(extraction.plugins), device=torch.device("cpu")
    )
    assert "caption" not in wanted.values
    assert "1 of 4 pictures have no caption" in notes[0]


def test_no_conditions_are_refused():
    wanted, _ = subject(2)
    with pytest.raises(UserInputError, match="found none"):
        measure_control([], [], wanted, blind, ControlPlan())


def test_one_picture_is_refused():
    wanted, extraction = subject(1)
    with pytest.raises(UserInputError, match="at least 2 pictures"):
        measured(wanted, extraction, blind)


def test_broken_weights_are_refused():
    wanted, extraction = subject(2)
    model = ComposerModel(replace(TINY), ProcessConfig(prediction="v"), PLUGINS).eval()
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    draw = drawing_of(model, SamplingRecipe(steps=1, guidance=1.0))
    with pytest.raises(UserInputError, match="found NaN"):
        measured(wanted, extraction, draw)
