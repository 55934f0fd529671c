"""The lease of one long training: steps at fixed places, ways of making them, the whole program."""

import json
import sys
from pathlib import Path

import pytest
import torch

LEASE = Path(__file__).parents[2] / "benchmarks" / "scene_model" / "lease"


def silent(text):
    pass


@pytest.fixture
def trainer():
    from bank import Bank
    from base import BaseTrainer

    from composer_pl_color import Color
    from composer_pl_intensity import Intensity
    from composer_pl_masking import Masking

    config = {
        "backbone": {
            "channels": 8, "channel_mult": [1], "num_res_blocks": 1, "attention_levels": [],
            "head_dim": 8, "context_dim": 8, "hint_channels": 2, "hint_scale": 1, "dropout": 0.0,
            "in_channels": 3, "out_channels": 3, "patch_size": 4, "resolution": 16,
        },
        "process": {"schedule": "cosine", "prediction": "v", "variance": "fixed"},
    }  # fmt: skip
    plugins = {"color": Color(), "intensity": Intensity(), "masking": Masking()}
    generator = torch.Generator().manual_seed(0)
    bank = Bank(
        x_0=torch.randint(256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8),
        fixed={"color": torch.rand(6, 156, generator=generator).softmax(1).half()},
        texts=1,
        masks=torch.rand(4, 1, 16, 16, generator=generator) > 0.5,
        greys=torch.full((1, 3), 1 / 3),
    )
    return BaseTrainer(config, plugins, torch.device("cpu")), bank


def again(make):
    """What stands for a CUDA graph: it computes with whatever lies at the fixed places."""
    return make


# -- steps -----------------------------------------------------------------------------------------


def test_a_captured_step_trains_as_the_plain_one(trainer, monkeypatch):
    import base
    from pace import Way
    from settings import Settings

    made, bank = trainer
    settings = Settings(steps=5, batch=3, warmup=1, early_share=0.5, focus={"color": 0.5})
    made.start(0)
    plain = made.train(bank, settings, log=silent)
    monkeypatch.setattr(base, "cuda_graph", again)
    made.start(0)
    made.use(Way(batch=3, graphed=True), bank)
    for _ in range(2):  # a graph serves one training after the other
        made.start(0)
        captured = made.train(bank, settings, log=silent)
        assert captured.curve == plain.curve
        for name, value in plain.weights.items():
            assert torch.equal(value, captured.weights[name]), name


def test_capturing_leaves_the_weights_alone(trainer, monkeypatch):
    import base
    from pace import Way

    made, bank = trainer
    monkeypatch.setattr(base, "cuda_graph", again)
    made.start(3)
    before = made.master.values.detach().clone()
    made.use(Way(batch=2, graphed=True), bank)
    assert torch.equal(made.master.values, before)


def test_a_graph_that_reads_stale_inputs_or_does_nothing_is_refused(trainer, monkeypatch):
    import base
    from pace import Way

    made, bank = trainer
    made.start(0)
    before = made.master.values.detach().clone()

    def frozen(make):
        answer = make()
        return lambda: answer

    def failing(make):
        make()
        raise RuntimeError("operation not permitted when stream is capturing")

    for fake, told in ((frozen, "a replayed step is another one"), (failing, "not permitted")):
        monkeypatch.setattr(base, "cuda_graph", fake)
        with pytest.raises(RuntimeError, match=told):
            made.use(Way(batch=2, graphed=True), bank)
        assert torch.equal(made.master.values, before)
        assert all(p.grad is None for p in made.copies.parameters)


def test_weights_are_kept_on_the_way(trainer):
    from settings import Settings

    made, bank = trainer
    told = {}

    def kept(title, step, weights):
        told.setdefault(title, (step, weights))

    made.start(0)
    settings = Settings(
        steps=10, batch=2, warmup=1, decay=0.0, early_share=0.6, even_steps=4, focus={"color": 1.0}
    )
    whole = made.train(bank, settings, kept=kept, log=silent)
    assert (told["even"][0], told["early"][0], whole.early_steps) == (4, 6, 6)
    made.start(0)
    short = made.train(bank, Settings(steps=4, batch=2, warmup=1, decay=0.0), log=silent)
    for name, value in short.weights.items():
        assert torch.equal(value, told["even"][1][name]), name
    made.start(0)
    usual = made.train(bank, Settings(steps=10, batch=2, warmup=1, decay=0.0), log=silent)
    assert any(not torch.equal(v, whole.weights[n]) for n, v in usual.weights.items())


# -- ways ------------------------------------------------------------------------------------------


def test_ways_that_fail_are_passed_over_and_small_batches_count_more():
    from pace import Way, ranked, worth

    small, large, broken = Way(batch=256), Way(batch=512), Way(batch=256, graphed=True)
    rates = {small: 4000.0, large: 5000.0}
    lines = []

    def clock(way):
        if way is broken:
            raise RuntimeError("capture failed")
        return rates[way]

    found = ranked([broken, large, small], clock, seconds=9, log=lines.append)
    assert found == [(small, 4000.0), (large, 5000.0)]
    assert lines[0] == "eager, graph, batch 256: fails, RuntimeError: capture failed"
    assert worth(large, 2**0.5 * 4000) == pytest.approx(worth(small, 4000))
    only = ranked([broken, large, small], clock, seconds=-1, log=lines.append)
    assert only == [(large, 5000.0)]
    with pytest.raises(RuntimeError, match="no way"):
        ranked([broken], clock, seconds=9, log=silent)


# -- programs --------------------------------------------------------------------------------------


@pytest.fixture
def lease(monkeypatch):
    monkeypatch.syspath_prepend(str(LEASE))
    for name in ("desk", "long", "long_plan", "long_scenes", "measures", "prior"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_baselines_keep_nothing_or_one_condition(lease):
    import long

    keep = torch.rand(3, 500, generator=torch.Generator().manual_seed(0)) < 0.5
    names = ("caption", "sketch", "depth")
    assert not long.blind(keep, names).any()
    alone = long.single("sketch")(keep, names, torch.Generator().manual_seed(0))
    assert not alone[[0, 2]].any()
    assert 0.85 < alone[1].float().mean() < 0.95


def test_shares_of_the_focused_part_name_conditions_of_the_model(lease):
    import long
    from building import build_plugins, read_config

    for course in (long.LONG, long.POLISH, long.TAUGHT):
        assert set(course.focus) <= set(build_plugins(read_config(long.CONFIG)))
        assert 0.5 < sum(course.focus.values()) < 0.61


@pytest.mark.slow
def test_the_whole_lease_runs_on_a_cpu(lease, tmp_path, monkeypatch):
    import long
    import long_scenes
    from desk import Desk

    from composer_pl.models.storage import load_model

    work, out = tmp_path / "work", tmp_path / "out"
    shared = ["long.py", "--work", str(work)]
    monkeypatch.setattr(sys, "argv", shared)
    long_scenes.main()
    monkeypatch.setattr(sys, "argv", [*shared, "--out", str(out)])
    long.main()
    facts = json.loads((work / "products/facts.json").read_text())
    assert facts["start"] == "scenes-64"
    assert facts["scenes"] == 12
    steps = {name: facts[name]["steps"] for name in facts if name.startswith("base-")}
    assert steps == {
        "base-long": 4, "base-long-even": 2, "base-long-early": 3, "base-blind": 2,
        "base-sketch": 2,
    }  # fmt: skip
    for name in steps:
        load_model(work / "products" / name)
    assert list(out.glob("long.tar.gz.*"))
    desk = Desk(work, "tiny", "test")
    assert len(desk.get("trained.pt")) == 12
    assert len(desk.get("unseen.pt")) == desk.plan.unseen

    written = (work / "products/base-long/model.safetensors").read_bytes()
    long.main()  # started again, it leaves what is there
    assert (work / "products/base-long/model.safetensors").read_bytes() == written

    before = (work / "products").rename(work / "before")
    (work / "latest.pt").unlink(missing_ok=True)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--polish", "--start", str(before / "base-long")])
    long.main()
    facts = json.loads((work / "products/facts.json").read_text())
    assert (facts["start"], facts["focused from"]) == ("base-long", 0.01)
    assert not (work / "products/base-blind").exists()
    assert (work / "products/base-long/model.safetensors").read_bytes() != written


@pytest.mark.slow
def test_a_taught_image_tower_is_installed_and_everything_goes_on_with_it(
    lease, tmp_path, monkeypatch
):
    import shutil

    import long
    import long_scenes
    import prior as lease_prior
    from clip import FILE, VISUAL_FILE
    from desk import Desk
    from install_weights import PLUGINS

    from composer_pl.models.storage import load_model, load_prior
    from composer_pl_semantics import Semantics

    work, out, plugins = tmp_path / "work", tmp_path / "out", tmp_path / "plugins"
    for name in ("caption", "semantics"):
        shutil.copytree(PLUGINS / name / "src", plugins / name / "src")
    shared = ["long.py", "--work", str(work)]
    monkeypatch.setattr(sys, "argv", shared)
    long_scenes.main()
    shared += ["--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*shared, "--teach", "3", "--plugins", str(plugins)])
    long.main()
    facts = json.loads((work / "products/facts.json").read_text())
    assert facts["image tower"]["steps"] > 0
    assert [name for name in facts if name.startswith("base-")] == ["base-long-early", "base-long"]
    load_model(work / "products/base-long")
    for name, file in (("caption", FILE), ("semantics", VISUAL_FILE)):
        package = plugins / name / "src" / f"composer_pl_{name}"
        written = (work / "products/encoders" / file).read_bytes()
        assert (package / "weights" / file).read_bytes() == written
        old = PLUGINS / name / "src" / package.name / "shipped.py"
        assert (package / "shipped.py").read_text() != old.read_text()

    # The model learned what the written tower says of the same pictures.
    visual = work / "products/encoders" / VISUAL_FILE
    extract = Semantics(model="tiny-scenes", weights_file=str(visual)).build_extractor()
    bank = Desk(work, "tiny", "test").get("bank-00.pt")
    from image_tower import ImageTeacher

    values = ImageTeacher(work / "products/encoders" / FILE).values(bank)
    torch.testing.assert_close(
        extract(bank.x_0.float() / 127.5 - 1), values.float(), atol=0.02, rtol=0.01
    )

    monkeypatch.setattr(sys, "argv", shared)
    lease_prior.main()
    assert load_prior(work / "products/prior").config
    assert json.loads((work / "products/prior/training.json").read_text())["steps"] == 2
