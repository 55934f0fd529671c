"""Scenes on disk: a COCO root that the project reads back, whole or not there at all."""

import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.cli import main
from composer_pl.data.scenes import export as export_module
from composer_pl.data.scenes.annotations import decode_run_lengths, run_lengths
from composer_pl.data.scenes.captions import captions
from composer_pl.data.scenes.export import ExportSettings, export_scenes
from composer_pl.data.scenes.files import DEPTH_SCALE
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.truth import outlines
from composer_pl.data.scenes.vocabulary import SHAPES
from composer_pl.data.sources import SourceConfig, list_source
from composer_pl.errors import UserInputError

SETTINGS = ExportSettings(train=5, val=2, size=32, seed=4, block=2, shards=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("export") / "scenes"
    assert export_scenes(root, SETTINGS)
    return root


def test_the_projects_coco_source_reads_pictures_and_captions_back(root):
    sampler = SceneSampler(4)
    for split, numbers in (("", range(5)), ("val", range(5, 7))):
        listing = list_source(SourceConfig(root=str(root), split=split))
        assert listing.kind == "coco"
        assert listing.notes == ()
        assert len(listing.records) == len(numbers)
        found = render([sampler.scene(i) for i in numbers], 32)
        for record, pixels, number in zip(listing.records, found.pixels, numbers, strict=True):
            on_disk = torch.from_numpy(np.array(Image.open(record.path))).permute(2, 0, 1)
            assert torch.equal(on_disk, pixels)
            texts = tuple(said.text for said in captions(sampler.scene(number)))
            assert record.captions == texts


def test_instances_hold_the_masks_boxes_and_classes(root):
    content = json.loads((root / "annotations" / "instances_train.json").read_text())
    assert [c["name"] for c in content["categories"]] == list(SHAPES)
    found = render([SceneSampler(4).scene(i) for i in range(5)], 32)
    assert len({a["id"] for a in content["annotations"]}) == len(content["annotations"])
    for image in content["images"]:
        painted = torch.zeros(32, 32, dtype=torch.uint8)
        mine = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        scene = found.scenes[image["id"]]
        for annotation in sorted(mine, key=lambda a: -a["order"]):
            mask = decode_run_lengths(annotation["segmentation"])
            assert mask.sum() == annotation["area"]
            rows, columns = mask.nonzero().T
            left, top, width, height = annotation["bbox"]
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            painted[mask] = annotation["order"] + 1
            shape = SHAPES[annotation["category_id"] - 1]
            assert shape == scene.objects[annotation["order"]].shape
        assert torch.equal(painted, found.ids[image["id"]])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools' own
def test_run_lengths_are_those_of_pycocotools():
    mask_tools = pytest.importorskip("pycocotools.mask")
    mask = torch.rand(13, 9) > 0.5
    encoded = run_lengths(mask)
    other = mask_tools.decode(mask_tools.frPyObjects(encoded, 13, 9))
    assert torch.equal(torch.from_numpy(other).bool(), mask)


@pytest.mark.parametrize("fill", [None, True, False])
def test_run_lengths_survive_a_round_trip(fill):
    mask = torch.rand(7, 5) > 0.4 if fill is None else torch.full((7, 5), fill)
    encoded = run_lengths(mask)
    assert sum(encoded["counts"]) == 35
    assert torch.equal(decode_run_lengths(encoded), mask)
    assert encoded["counts"][0] == 0 or not mask[0, 0]


def test_depth_ids_and_truth_files_are_those_of_the_renderer(root):
    found = render([SceneSampler(4).scene(i) for i in range(5)], 32)
    lines = (root / "truth" / "train.jsonl").read_text().splitlines()
    for i in range(5):
        name = f"{i:012d}.png"
        levels = np.asarray(Image.open(root / "depth" / "train" / name)).astype(float)
        depth = found.depth[i].numpy()
        near = depth < 30
        assert abs(levels[near] / DEPTH_SCALE - depth[near]).max() <= 0.51 / DEPTH_SCALE
        assert (levels[np.isinf(depth)] == 65535).all()
        ids = np.asarray(Image.open(root / "ids" / "train" / name))
        assert (ids == found.ids[i].numpy()).all()
        truth = json.loads(lines[i])
        assert truth["index"] == i
        assert [o["shape"] for o in truth["objects"]] == [o.shape for o in found.scenes[i].objects]


def test_outlines_run_where_the_masks_end_and_nowhere_on_the_ground(root):
    """By the masks of `ids` alone: a line wherever two of them meet, none away from objects."""
    found = render([SceneSampler(4).scene(i) for i in range(5)], 32)
    for i in range(5):
        picture = Image.open(root / "outlines" / "train" / f"{i:012d}.png")
        assert picture.mode == "L"
        levels, ids = (
            np.asarray(picture),
            np.asarray(Image.open(root / "ids" / "train" / f"{i:012d}.png")).astype(int),
        )
        assert set(np.unique(levels)) <= {0, 255}
        borders = np.zeros_like(ids, dtype=bool)
        borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
        borders[:-1] |= ids[:-1] != ids[1:]
        assert (levels[borders] == 255).all()
        assert (ids[(levels == 255) & ~borders] > 0).all(), "other lines are edges of objects"
        assert (levels == outlines(found)[i, 0].numpy() * 255).all()


def test_shards_hold_one_sample_after_another(root):
    shards = sorted((root / "shards").glob("train-*.tar"))
    assert [s.name for s in shards] == [f"train-{i:06d}.tar" for i in range(3)]
    with tarfile.open(shards[0]) as tar:
        names = tar.getnames()
        picture = tar.extractfile("000000000001.png").read()
        lines = tar.extractfile("000000000001.outlines.png").read()
    assert names[:6] == [
        f"000000000000.{s}" for s in ("png", "depth.png", "ids.png", "outlines.png", "txt", "json")
    ]
    assert len(names) == 12
    assert picture == (root / "train" / "000000000001.png").read_bytes()
    assert lines == (root / "outlines" / "train" / "000000000001.png").read_bytes()


def test_an_interrupted_writing_goes_on_and_ends_in_the_same_bytes(root, tmp_path, monkeypatch):
    calls = []

    def failing(scenes, *rest, **more):
        calls.append(len(scenes))
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return render(scenes, *rest, **more)

    monkeypatch.setattr(export_module, "render", failing)
    out = tmp_path / "again"
    with pytest.raises(UserInputError, match="No space left on device"):
        export_scenes(out, SETTINGS)
    assert not out.exists()
    told = []
    assert export_scenes(out, SETTINGS, progress=lambda done, total: told.append((done, total)))
    assert len(calls) == 5  # two blocks were kept, the broken one and the others were drawn
    assert told[-1] == (7, 7)
    mine = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    theirs = {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert mine == theirs
    assert not (tmp_path / "again.unfinished").exists()


def test_a_foreign_folder_is_refused_and_a_whole_one_left_alone(root, tmp_path):
    assert not export_scenes(root, SETTINGS)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserInputError, match="found something else there"):
        export_scenes(tmp_path, SETTINGS)
    with pytest.raises(UserInputError, match="found other scenes there"):
        export_scenes(root, ExportSettings(train=9, size=32))


def test_the_command_writes_a_root_and_says_how_far_it_is(tmp_path, capsys):
    out = tmp_path / "root"
    words = ["scenes", "--out", str(out), "-n", "3", "--size", "32", "--max-objects", "2"]
    words += ["--exclude", "red sphere", "--correlate", "blue cube=0.5"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "3 of 3 scenes" in printed.err
    assert "3 scenes" in printed.out
    assert (out / "annotations" / "captions_train.json").is_file()
    assert main(words) == 0
    assert "there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-objects", "12"], "more do not fit"),
        (["--colors", "rde"], "did you mean 'red'"),
        (["--size", "4"], "16 to 2048"),
        (["--correlate", "red sphere"], "a pair and a probability"),
        (["--size", "4096"], "16 to 2048"),
        (["--samples", "4"], "one of 1, 5, 9, found 4"),
        (["--shapes", "cube", "--exclude", "red cube", "--colors", "red"], "exclude fewer"),
        (["--shapes", "cube", "--require", "red sphere"], "red sphere"),
        (["--device", "tpu"], "Choosing the device: expected cpu, cuda"),
        (["--device", "cuda:99"], "Choosing the device: expected cpu, cuda"),
        (["-n", "0"], "expected -n to be at least 1, found 0"),
        (["--val", "-1"], "--val to be at least 0"),
        (["--block", "0"], "--block to be at least 1"),
    ],
)
def test_a_command_that_cannot_be_met_is_one_line_and_leaves_nothing(
    tmp_path, capsys, words, message
):
    """So that the corrected command, into the same folder, finds nothing in its way."""
    assert main(["scenes", "--out", str(tmp_path / "x"), "-n", "1", *words]) == 2
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert message in error
    assert "Next: " in error
    assert not list(tmp_path.iterdir())
