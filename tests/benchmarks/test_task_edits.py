"""Edits change what they name and nothing else; aspects of blended frames are 1 on the truth."""

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/tasks"))

import interpolation
import reconfiguration
from arms import HELD_OUT, RULES
from aspects import Judged
from blends import KINDS, Row, measured, palette_nearness, table
from corpus import UNSEEN
from map_edits import Places, correlation_in, exchanged, moved, shape_iou_in, share_right

from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.solids import SOLIDS
from composer_pl.evaluation.plain import correlation
from composer_pl.evaluation.scenes.judge import load_judge
from composer_pl.evaluation.scenes.rendered import render_scenes
from composer_pl.evaluation.scenes.truth import claimed_pairs, whole_truth
from composer_pl_color import Color
from composer_pl_color.codebook import BINS, GREYS

TASKS = Path(__file__).parents[2] / "benchmarks/tasks"


@pytest.fixture(scope="module")
def scenes():
    sampler = SceneSampler(0, RULES["A"])
    return [sampler.scene(index) for index in range(UNSEEN, UNSEEN + 60)]


def test_a_moved_thing_stays_the_nearest_and_in_view_and_no_other_moves(scenes):
    pairs = [(scene, other) for scene in scenes for other in moved(scene)]
    assert pairs
    for scene, other in pairs:
        thing, there = scene.objects[0], other.objects[0]
        assert replace(there, position=thing.position) == thing
        assert there.position[0] != thing.position[0]
        assert replace(other, objects=scene.objects) == scene
        assert other.objects[1:] == scene.objects[1:]
        depths = [scene.camera.coordinates(thing.position)[2] for thing in other.objects]
        assert depths == sorted(depths)
        assert all(0 < place < 1 for place in scene.camera.projected(there.position))


def test_an_exchanged_thing_is_another_shape_on_the_floor_that_models_have_seen(scenes):
    pairs = [(scene, other) for scene in scenes for other in exchanged(scene)]
    assert pairs
    for scene, other in pairs:
        thing, now = scene.objects[0], other.objects[0]
        assert replace(now, shape=thing.shape, position=thing.position) == thing
        assert now.shape != thing.shape
        assert now.position[1] == SOLIDS[now.shape].height * now.scale
        assert now.position[::2] == thing.position[::2]
        assert other.objects[1:] == scene.objects[1:]
        assert not {f"{c} {now.shape}" for c in (now.color, now.second_color)} & set(HELD_OUT)


@pytest.mark.parametrize("edit", [moved, exchanged])
def test_renderings_differ_only_where_an_edit_is_said_to_show(scenes, edit):
    chosen = [scene for scene in scenes if len(scene.objects) > 1 and edit(scene)][:2]
    before, after = render_scenes(chosen), render_scenes([edit(scene)[0] for scene in chosen])
    places = Places.of(before, after)
    assert places.thing.flatten(1).any(1).all()
    assert (places.around | ~places.thing).all()
    assert not (places.around & places.elsewhere).any()
    assert places.elsewhere.float().mean() > 0.5
    levels = (before.pixels.int() - after.pixels.int()).abs().amax(1)
    elsewhere = places.elsewhere.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert levels[elsewhere].max() <= 4
    assert levels[~elsewhere].max() > 40


def test_scores_of_a_place_ignore_what_lies_outside():
    random = torch.Generator().manual_seed(0)
    ours, theirs, noise = torch.rand(3, 2, 8, 8, generator=random)
    everywhere, where = torch.ones(2, 8, 8, dtype=torch.bool), torch.zeros(2, 8, 8).bool()
    where[:, 2:6, 1:5] = True
    torch.testing.assert_close(correlation_in(ours, theirs, everywhere), correlation(ours, theirs))
    torch.testing.assert_close(
        correlation_in(torch.where(where, -3 * theirs, noise), theirs, where), -torch.ones(2)
    )
    shares = torch.rand(2, 4, 8, 8, generator=random)
    other = torch.rand(2, 4, 8, 8, generator=random)
    right = torch.where(where[:, None], shares, other)
    torch.testing.assert_close(shape_iou_in(right, shares, where), torch.ones(2))
    assert (shape_iou_in(right, shares, everywhere) < 1).all()


def test_either_colour_of_a_pattern_is_right_and_no_third():
    shares = torch.tensor([0.5, 0.5, 0.0])[None, :, None, None].expand(1, 3, 2, 2)
    said = torch.nn.functional.one_hot(torch.tensor([[[0, 1], [2, 2]]]), 3).movedim(-1, 1)
    where = torch.ones(1, 2, 2, dtype=torch.bool)
    assert share_right(said.float(), shares, where).tolist() == [0.5]


def test_nearness_to_a_palette_has_its_closed_form():
    white, black = BINS - GREYS, BINS - 1
    half = torch.zeros(1, BINS)
    half[0, [white, black]] = 0.5
    picture = torch.ones(1, 3, 4, 4)
    both = picture.clone()
    both[..., :2] = -1
    torch.testing.assert_close(palette_nearness(both, half), torch.ones(1), rtol=0, atol=1e-4)
    # Half of the pixels are 100 units of L too light, a third of the numbers; of 30 units each.
    wanted = torch.tensor([1 - 50 / 3 / 30])
    torch.testing.assert_close(palette_nearness(picture, half), wanted, rtol=0, atol=1e-4)


def test_true_pictures_go_the_whole_way_and_keep_all(unseen):
    truth = whole_truth(unseen)
    both = Judged(truth, claimed_pairs(unseen.scenes), unseen.ids == 1)
    first, second = (
        Judged(both.truth[rows], both.claimed[rows], both.region[rows])
        for rows in (torch.arange(0, 8, 2), torch.arange(1, 8, 2))
    )
    ends = first.truth.image, second.truth.image
    told = [Color().build_extractor()(pictures) for pictures in ends]
    blended = Row(
        pictures=torch.stack([ends[0], *ends], 1),
        palettes=torch.stack([told[0], *told], 1),
        first=first,
        second=second,
    )
    judge = load_judge()
    lines = measured(judge, blended, KINDS["semantics"])
    assert [line["role"] for line in lines] == ["changed"] * 5
    for line in lines:
        assert line["way"][0] == pytest.approx(1, abs=0.02), line["aspect"]
        assert line["floor"][0] < line["ceiling"][0]
    pairs = lines[0]["frames"]
    assert pairs[0] == pairs[1] == lines[0]["ceiling"]
    assert pairs[2][0] < pairs[0][0]
    still = replace(
        blended,
        pictures=torch.stack([ends[0]] * 3, 1),
        palettes=torch.stack([told[0]] * 3, 1),
        second=first,
    )
    for line in measured(judge, still, KINDS["palette"]):
        assert line["frames"] == [line["ceiling"]] * 3
        assert line["way"] == [1, 1, 1]
    assert len(table({"palette": lines}, 3)) == 2 + len(lines)


@pytest.mark.parametrize("program", [interpolation, reconfiguration])
def test_the_published_page_is_what_the_program_writes_of_its_numbers(program, tmp_path):
    name = program.__name__
    facts, page = json.loads((TASKS / f"{name}.json").read_text()), TASKS / f"{name}.md"
    steps = int(re.findall(r"--steps (\d+)", page.read_text())[0])
    count = facts["pairs"] if "pairs" in facts else facts["pictures"]
    args = argparse.Namespace(out=tmp_path, model="scenes-64", n=count, steps=steps)
    args.bfloat16, args.frames = True, 5
    program.write(args, facts)
    assert (tmp_path / page.name).read_text() == page.read_text()


def test_frames_between_two_pictures_as_the_readme_tells_them():
    rows = json.loads((TASKS / "interpolation.json").read_text())["rows"]
    part = (TASKS / "README.md").read_text().split("## What lies between two pictures")[1]
    shown = re.findall(r"^\| (.+?) \| (.+? of .+?) \| (.*) \|$", part.split("\n## ")[0], re.M)
    assert len(shown) == 11
    for blended, aspect, cells in shown:
        (line,) = (e for e in rows[blended]["aspects"] if aspect in e["aspect"])
        wanted = [*line["frames"][::2], line["floor"], line["ceiling"]]
        assert cells.split(" | ") == [f"{mean:.3f}" for mean, _, _ in wanted], (blended, aspect)


def test_edits_of_maps_as_the_readme_tells_them():
    lines = json.loads((TASKS / "reconfiguration.json").read_text())["lines"]
    text = (TASKS / "README.md").read_text()
    shown = re.findall(r"^\| (\w+(?:, palette alone kept)?) \| (.+) \|$", text, re.M)
    measured = {
        "pixels where the thing was": "pixels where the thing was",
        "depth where it was or is to be, correlation": "judged depth where",
        "its shape, share of its new place": "judged shape, share",
        "shapes where it is, IoU": "judged shapes where",
    }
    found = 0
    for edit, cells in shown:
        aspect, *numbers = cells.split(" | ")
        if aspect in measured:
            (line,) = (
                e for e in lines if e["edit"] == edit and e["aspect"].startswith(measured[aspect])
            )
            for cell, arm in zip(numbers, ("floor", "blind", "task", "ceiling"), strict=True):
                wanted = "{:.2f} [{:.2f}, {:.2f}]".format(*line[arm])
                assert wanted.startswith(cell), (edit, aspect, arm)
            found += 1
    assert found == 5
