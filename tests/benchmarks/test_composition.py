import json
from dataclasses import replace

import pytest
from arms import HELD_OUT, PAIRS, SEEN
from cases import UNUSUAL
from drawing import extraction_of
from fakes import FakeCaption, FakeGlobal, FakeLocal
from report import write
from score import SHORT, make_scenes, run_composition
from tiny import TINY

from composer_pl.diffusion.process import ProcessConfig
from composer_pl.evaluation.composition.cases import PLAIN, pair_of
from composer_pl.evaluation.scenes.judge import Judge
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(24, device="cpu")


def asked(cases, names=PAIRS):
    return [names[index] for index in cases.asked.tolist()]


@pytest.mark.slow
def test_each_scene_has_what_is_asked(scenes):
    assert asked(scenes.held) == list(HELD_OUT)
    assert asked(scenes.seen) == list(SEEN)
    for cases in (scenes.held, scenes.seen):
        assert [pair_of(scene.objects[0]) for scene in cases.scenes] == asked(cases)
    for cases in (scenes.two_held, scenes.two_seen):
        for row, scene in enumerate(cases.scenes):
            pairs = {PAIRS[cases.asked[row]], PAIRS[cases.other[row]]}
            assert {pair_of(thing) for thing in scene.objects} == pairs
            assert PAIRS[cases.other[row]] in SEEN
            assert len({word for pair in pairs for word in pair.split()}) == 4
    for scene, text, kind in zip(
        scenes.unusual.scenes,
        scenes.unusual.texts,
        asked(scenes.unusual, UNUSUAL),
        strict=True,
    ):
        thing = scene.objects[0]
        assert kind == f"{thing.material} {thing.size}"
        assert thing.color in text
        assert thing.material in text
    for cases in (scenes.held, scenes.two_held):
        assert {t.material for scene in cases.scenes for t in scene.objects} <= set(PLAIN)


@pytest.mark.slow
def test_the_experiment_runs_with_untrained_models(scenes, tmp_path):
    plugins = {
        "caption": FakeCaption(),
        "instances": FakeLocal(),
        "sketch": FakeLocal(),
        "depth": FakeLocal(),
        "color": FakeGlobal(),
    }

    def model():
        config = replace(TINY, resolution=64)
        return ComposerModel(config, ProcessConfig(variance="fixed"), plugins).eval()

    models = {"A": model(), "B": model(), "A/1": model(), "B/1": model()}
    composed = run_composition(
        models,
        extraction_of(models["A"]),
        Judge(8).eval(),
        device="cpu",
        recipe=SamplingRecipe(steps=1, guidance=1.0, max_batch=24),
        scenes=scenes,
        log=lambda line: None,
    )
    write(composed, tmp_path)
    facts = json.loads((tmp_path / "composition.json").read_text())
    assert facts["pictures"] == 24
    for name in SHORT:
        assert set(facts["contrasts"][name]) == {"long", "/1"}
        assert set(facts["sets"][name]["held out"]) == {*models, "ceiling"}
    assert set(facts["sets"]["two objects"]["seen"]) == {"A", "B", "ceiling"}
    assert set(facts["sets"]["pair"]) == {"A", "B", "ceiling"}
    assert set(facts["sets"]["material"]) == {"unusual", "usual"}
    assert (tmp_path / "composition.png").stat().st_size > 0
    assert "Contrast (long)" in (tmp_path / "composition.md").read_text()
