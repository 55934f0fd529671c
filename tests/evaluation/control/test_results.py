"""Lines, sentences, measurements and the report of constructed scores."""

from math import isfinite

import pytest
import torch
from control_fakes import smooth

from composer_pl.evaluation.control.copies import find_copies
from composer_pl.evaluation.control.measure import (
    ALL,
    ALONE,
    BLIND,
    BLIND_FLOOR,
    CEILING,
    FLOOR,
    NONE,
    TRUTH,
    Control,
    with_arm,
)
from composer_pl.evaluation.control.measurements import control_measurements
from composer_pl.evaluation.control.pictures import to_bytes
from composer_pl.evaluation.control.quality import quality_of
from composer_pl.evaluation.control.report import control_parts
from composer_pl.evaluation.control.results import (
    counted_lines,
    lines_of,
    pair_way,
    verdicts,
)
from composer_pl.evaluation.control.scorers import OWN, Scorer
from composer_pl.evaluation.measurement import append_measurements, read_measurements
from composer_pl.evaluation.report import Grid, Table, write_report

COUNT = 40


def scorer(condition, name, *, independent):
    return Scorer(
        condition=condition, name=name, independent=independent, score=lambda shown, wanted: None
    )


@pytest.fixture(scope="module")
def control():
    """Depth half way by its judge, nine tenths by its own word; warmth ignored, without a judge."""
    scorers = [
        scorer("depth", "judged", independent=True),
        scorer("depth", OWN, independent=False),
        scorer("warmth", OWN, independent=False),
    ]
    noise = 0.02 * torch.randn(COUNT, generator=torch.Generator().manual_seed(0))
    ways = {("depth", "judged"): 0.5, ("depth", OWN): 0.9, ("warmth", OWN): 0.0}
    scores = {}
    for (condition, name), way in ways.items():
        other = "warmth" if condition == "depth" else "depth"
        for arm, height in {
            FLOOR: 0, CEILING: 1, ALONE: way, ALL: 1, BLIND: 0, BLIND_FLOOR: 0,
        }.items():  # fmt: skip
            scores[condition, name, arm] = 0.2 + 0.6 * height + noise
        scores[condition, name, with_arm(other)] = (0.2 + 0.6 * 0.75 + noise)[:10]
    pictures = {
        arm: to_bytes(smooth(COUNT, 16, seed))
        for seed, arm in enumerate((TRUTH, NONE, "depth", "warmth", ALL))
    }
    found = Control(names=["depth", "warmth"], scorers=scorers)
    found.scores, found.pictures = scores, pictures
    found.again = {"depth": pictures[NONE][:4]}
    return found


def qualities(control):
    return {
        arm: quality_of(pictures, control.pictures[TRUTH], features=None)
        for arm, pictures in control.pictures.items()
        if arm != TRUTH
    }


def test_ways_are_those_of_the_scores(control):
    judged, own, warmth = lines_of(control)
    assert judged.way.value == pytest.approx(0.5, abs=1e-5)
    assert own.way.value == pytest.approx(0.9, abs=1e-5)
    assert warmth.way.value == pytest.approx(0, abs=1e-5)
    assert judged.whole_way.value == pytest.approx(1, abs=1e-5)
    assert [line.ignored for line in (judged, own, warmth)] == [False, False, True]
    way = pair_way(control, judged.scorer, "warmth")
    assert way.value == pytest.approx(0.75, abs=1e-5)
    assert pair_way(control, judged.scorer, "depth") is None


def test_the_independent_judge_counts_and_its_absence_is_said(control):
    lines = lines_of(control)
    assert [line.scorer.name for line in counted_lines(lines)] == ["judged", OWN]
    said = " ".join(verdicts(lines))
    assert "Ignored, or as good as: warmth" in said
    assert "No independent judge here for warmth" in said
    assert "in 3 of 3 rows" in said


def test_few_pictures_that_all_fail_are_no_proof_that_a_condition_is_ignored(control):
    """None of 4 pictures says nothing of a share of a tenth; none of 40 does."""
    few = Control(
        names=control.names,
        scorers=control.scorers,
        scores={key: score[:4] for key, score in control.scores.items()},
        pictures={arm: pictures[:4] for arm, pictures in control.pictures.items()},
    )
    warmth = lines_of(few)[2]
    assert warmth.way.high == pytest.approx(0, abs=1e-5)
    assert not warmth.ignored
    assert lines_of(control)[2].ignored


def test_only_company_hangs_on_the_other_conditions(control):
    found = control_measurements(lines_of(control), {}, control, {"seed": 0})
    told = {m.measure: m.settings.get("conditions") for m in found}
    assert told["depth by judged: way, all given"] == ["depth", "warmth"]
    assert told["depth by judged: way"] is None  # comparable with a model of depth alone


def test_a_number_carries_what_it_hangs_on_and_no_more(control):
    found = control_measurements(
        lines_of(control), qualities(control), control, {"seed": 0}, blind="digest"
    )
    settings = {m.measure: m.settings for m in found}
    assert settings["depth by judged: blind way"]["blind"] == "digest"
    assert settings["nothing given: variety"]["blind"] == "digest"
    assert "blind" not in settings["depth by judged: floor"]
    assert settings["all given: variety"]["conditions"] == ["depth", "warmth"]
    assert settings["depth: variety"] == {"seed": 0}


def test_a_score_that_is_the_same_everywhere_has_an_interval_too(control):
    """Else it would not compare with a model whose scores differ."""
    scores = control.scores | {("depth", "judged", CEILING): torch.full((COUNT,), 0.8)}
    even = Control(
        names=control.names, scorers=control.scorers, scores=scores, pictures=control.pictures
    )
    found = {m.measure: m for m in control_measurements(lines_of(even), {}, even, {})}
    ceiling = found["depth by judged: ceiling"]
    assert ceiling.low == ceiling.value == ceiling.high
    assert ceiling.interval == found["depth by judged: alone"].interval == "over pictures"


def test_every_number_is_a_measurement_that_comes_back(control, tmp_path):
    settings = {"model": {"sha256": "0"}, "seed": 0}
    found = control_measurements(lines_of(control), qualities(control), control, settings)
    append_measurements(tmp_path / "results.jsonl", found)
    assert read_measurements(tmp_path / "results.jsonl") == found
    by_name = {measurement.measure: measurement for measurement in found}
    assert len(by_name) == len(found)
    way = by_name["depth by judged: way"]
    assert way.value == pytest.approx(0.5, abs=1e-5)
    assert way.settings["independent"] is True
    assert way.count == COUNT
    pair = by_name["depth by judged: way, with warmth"]
    assert (pair.count, pair.settings["with"]) == (10, "warmth")
    varied = by_name["depth: variety"]
    assert varied.low < varied.value < varied.high
    assert varied.interval == "over pictures"
    assert "depth: kernel distance" not in by_name  # not measured is not a number


def test_an_undefined_score_is_left_out_and_the_report_says_so(control, tmp_path):
    scores = dict(control.scores)
    for arm in (FLOOR, CEILING, ALONE):
        scores["warmth", OWN, arm] = torch.full((COUNT,), torch.nan)
    undefined = Control(
        names=control.names, scorers=control.scorers, scores=scores, pictures=control.pictures
    )
    lines = lines_of(undefined)
    assert not isfinite(lines[2].way.value)
    found = control_measurements(lines, {}, undefined, {})
    assert not any(m.measure == "warmth by own extractor: way" for m in found)
    parts = control_parts(undefined, lines, {}, texts=[""] * COUNT)
    write_report(tmp_path, "Control", parts, facts={})
    assert "undefined" in (tmp_path / "tables.md").read_text()


def test_the_report_shows_all_of_it(control, tmp_path):
    training = to_bytes(smooth(6, 16, 9))
    copies = {"depth": find_copies(control.pictures["depth"], control.pictures[TRUTH], training)}
    parts = control_parts(
        control,
        lines_of(control),
        qualities(control),
        texts=["a text"] * COUNT,
        notes=["A note."],
        copies=copies,
        training=training,
    )
    tables = {part.title: part for part in parts if isinstance(part, Table)}
    assert list(tables) == [
        "Obedience", "Every score", "Pairs", "Quality and diversity", "Copies of training pictures",
    ]  # fmt: skip
    assert [row[:2] for row in tables["Obedience"].rows] == [
        ["depth", "judged"], ["warmth", "none: own extractor"],
    ]  # fmt: skip
    assert len(tables["Every score"].rows) == 3
    assert sum(isinstance(part, Grid) for part in parts) == 2
    write_report(tmp_path, "Control", parts, facts={"seed": 0})
    page = (tmp_path / "report.html").read_text()
    assert "A note." in page
    assert "warmth" in page
