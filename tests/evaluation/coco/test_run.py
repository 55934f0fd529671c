"""A run: shared, interrupted and gone on with, it leaves the same pictures, each once."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from coco_fakes import (
    FakeClip,
    FakeFeatures,
    artist,
    begun,
    make_model,
    write_annotations,
    write_root,
)
from prior_fakes import clip_plugins, conditions, make_prior

from composer_pl.composing.composer import Composer
from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.blocks import Shard
from composer_pl.evaluation.coco.drawing import CaptionArtist
from composer_pl.evaluation.coco.run import CocoRun
from composer_pl.models.prior_sampling import PriorRecipe

__all__ = ["clip_plugins"]

SCORERS = (FakeFeatures(), FakeClip())


def files_of(folder):
    """Name -> digest of everything in a folder."""
    folder = Path(folder)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_everything_is_done_once(settings):
    run = begun(settings())
    seen = []
    run.work(progress=lambda done, total: seen.append((done, total)))
    run.finish()
    assert seen == [(number, 6) for number in range(7)]
    assert run.done() == (6, 6)
    pictures = list(Path(settings().out).rglob("pictures/*/*.png"))
    ids = {int(path.stem) for path in pictures}
    assert len(pictures) == len(ids) == 10
    assert ids == {caption.image_id for caption in run.captions.captions}
    assert run.generations[0].numbers(SCORERS[1]).shape == (10, 1)
    features, digest = run.reference.numbers(SCORERS[0])
    assert features.shape == (10, 12)
    assert len(digest) == 64


@pytest.mark.parametrize("count", [2, 9])
def test_shards_together_are_one_process(settings, place, count):
    """Six blocks: two shares are even, of nine three have nothing to do."""
    whole, shared = settings(), settings(out=str(place / "shared"))
    run = begun(whole)
    run.work()
    for index in reversed(range(count)):
        begun(shared).work(Shard(index, count))
    begun(shared).finish()
    assert files_of(whole.out) == files_of(shared.out)


@pytest.mark.parametrize("keep", ["png", "features"])
def test_interrupted_anywhere_the_result_is_the_same(settings, place, keep, monkeypatch):
    undisturbed = settings(keep=keep)
    begun(undisturbed).work()
    broken = settings(keep=keep, out=str(place / "broken"))

    def stop_at(number):
        def look(done, total):
            if done == number:
                raise KeyboardInterrupt

        return look

    for number in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            begun(broken).work(progress=stop_at(number))
    with monkeypatch.context() as patched:
        patched.setattr("composer_pl.evaluation.coco.generation.write_rows", interrupt)
        with pytest.raises(KeyboardInterrupt):
            begun(broken).work()
    run = begun(broken)
    run.work()
    run.finish()
    assert files_of(undisturbed.out) == files_of(broken.out)


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_what_is_done_is_not_done_again(settings, monkeypatch):
    begun(settings()).work()
    run = begun(settings())
    monkeypatch.setattr(type(run.artist), "draw", interrupt)
    monkeypatch.setattr("composer_pl.evaluation.coco.reference.cut", interrupt)
    run.work()
    run.finish()


def test_progress_begins_with_what_is_done(settings):
    """So that the time that is left is told by work and not by what was found."""
    begun(settings()).work(Shard(0, 2))
    seen = []
    begun(settings()).work(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 6), (4, 6), (5, 6), (6, 6)]


def test_a_broken_reference_is_told_before_anything_is_drawn(settings, monkeypatch):
    run = begun(settings())
    path = run.split.folder / run.split.pictures[-1]
    path.write_text("no picture")
    monkeypatch.setattr(type(run.artist), "draw", interrupt)
    with pytest.raises(UserInputError, match=path.name):
        run.work()


@pytest.mark.usefixtures("clip_plugins")
def test_a_prior_can_be_added_to_what_was_drawn_without(settings, place):
    """The pictures of the caption alone are the same: only those of the prior are new."""
    composer, prior = Composer(make_model(conditions())), make_prior()
    told = settings(prior_recipe=PriorRecipe(steps=2))
    for added in (None, prior):
        run = CocoRun(
            replace(told, prior="prior" if added else None),
            artist=CaptionArtist(composer, added),
            scorers=SCORERS,
        )
        run.begin()
    models = [generation.folder / "drawn.json" for generation in run.generations]
    stages = [set(json.loads(path.read_text())["model"]) for path in models]
    assert stages == [{"base", "caption"}, {"base", "caption", "prior"}]


def test_another_network_looks_at_the_pictures_that_are_there(settings, monkeypatch):
    begun(settings(), SCORERS[:1]).work()
    run = begun(settings())
    monkeypatch.setattr(type(run.artist), "draw", interrupt)
    run.work()
    direct = settings(out=settings().out + "-direct")
    other = begun(direct)
    monkeypatch.undo()
    other.work()
    numbers = [each.generations[0].numbers(SCORERS[1]) for each in (run, other)]
    assert torch.equal(*numbers)


def test_features_alone_are_those_of_the_pictures(settings, place):
    with_pictures = begun(settings())
    alone = begun(settings(keep="features", out=str(place / "alone")))
    for run in (with_pictures, alone):
        run.work()
    assert not list((place / "alone").rglob("*.png"))
    for scorer in SCORERS:
        numbers = [run.generations[0].numbers(scorer) for run in (with_pictures, alone)]
        assert torch.equal(*numbers)
    with pytest.raises(UserInputError, match=r"networks \["):
        begun(settings(keep="features", out=str(place / "alone")), SCORERS[:1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"captions": 5}, r"the 10 captions of seed 0 that .* lists, found 5 of seed 0"),
        ({"caption_seed": 1}, r"the 10 captions of seed 0 .* found 10 of seed 1"),
        ({"block": 5}, "block 4, not 5"),
        ({"upsampler": True}, r"model\.upsampler absent, not \w+"),
        ({"keep": "features"}, "keep png, not features; networks absent, not"),
        ({"steps": 3}, r"recipe\.steps 2, not 3 in drawn\.json"),
    ],
)
def test_a_folder_of_another_run_is_not_gone_on_with(settings, place, change, told):
    begun(settings())
    enlarged = change.pop("upsampler", False)
    if steps := change.pop("steps", None):
        change["recipe"] = replace(settings().recipe, steps=steps)
    with pytest.raises(UserInputError, match=told):
        begun(settings(**change), enlarged=enlarged)


def test_other_captions_leave_nothing_in_the_folder(settings):
    begun(settings())
    before = files_of(settings().out)
    with pytest.raises(UserInputError, match="give another --out"):
        begun(settings(caption_seed=1, seed=5))
    assert files_of(settings().out) == before


def test_manners_have_folders_of_their_own(settings):
    run = begun(settings(guidances=(1.0, 1.5), repeats=2))
    names = [generation.folder.name for generation in run.generations]
    assert len(set(names)) == 4
    run.work()
    assert run.done() == (15, 15)
    firsts = [generation.first_pictures(1)[0][1] for generation in run.generations]
    assert len({first.numpy().tobytes() for first in firsts}) == 4


def test_unfinished_work_is_not_scored(settings):
    run = begun(settings())
    run.work(Shard(0, 2))
    with pytest.raises(UserInputError, match="expected 6 finished blocks, found 3"):
        run.finish()


def test_the_protocol_is_what_runs_unless_something_else_is_asked_for(settings):
    with pytest.raises(UserInputError) as refusal:
        CocoRun(settings(not_the_protocol=False), artist=artist())
    for reason in ("10 pictures to compare with", "10 captions, not 30000", "16 px, not 256"):
        assert reason in str(refusal.value)
    assert not Path(settings().out).exists()


@pytest.mark.parametrize("scorers", [SCORERS, SCORERS[1:]])
def test_a_single_caption_has_no_distance(settings, scorers):
    told = settings(captions=1)
    if scorers == SCORERS:
        with pytest.raises(UserInputError, match=r"at least 2 captions .* found 1 and 10"):
            CocoRun(told, artist=artist(), scorers=scorers)
    else:
        begun(told, scorers).work()


def test_pictures_without_captions_are_left_out_when_asked(settings, place):
    content = write_root(place / "other", 6, per_picture=1)
    content["annotations"] = content["annotations"][:4]
    write_annotations(place / "other", content)
    run = begun(settings(root=str(place / "other")))
    assert len(run.captions) == 4
    assert len(run.split.pictures) == 6
    assert any("2 pictures have no caption" in reason for reason in run.departures)


def test_a_stored_list_is_drawn(settings, place):
    first = begun(settings(captions=3))
    chosen = settings(caption_file=str(place / "out" / "captions.json"), out=str(place / "again"))
    assert begun(chosen).captions == first.captions
    with pytest.raises(UserInputError, match="a list of 3"):
        CocoRun(replace(chosen, captions=4), artist=artist())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"guidances": ()}, "different guidances"),
        ({"guidances": (3.0, 3.0)}, "different guidances"),
        ({"guidances": (float("nan"),)}, "finite guidances"),
        ({"repeats": 0}, "1 to 31 generations"),
        ({"block": 0}, "blocks of at least 1"),
        ({"networks": ("tiny", "tiny")}, "each network once"),
        ({"networks": ("inceptoin:a.pt",)}, "did you mean 'inception'"),
        ({"networks": ("inception",)}, "expected inception:FILE"),
        ({"networks": ("clip:ViT-B-32",)}, "expected clip:NAME:FILE"),
        ({"kid_size": 1}, "at least 2 subsets of 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, change, told):
    with pytest.raises(UserInputError, match=told):
        settings(**change)
