"""Facts about the condition `instances`."""

import itertools
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from composer_pl.plugin import ConfigError, UserInputError
from composer_pl.plugin.testing import PluginContract
from composer_pl_instances import Instances
from composer_pl_instances.agreement import soft_iou
from composer_pl_instances.codes import SEPARATION, category_code
from composer_pl_instances.convert import convert, main
from composer_pl_instances.networks import build_network, load_network
from composer_pl_instances.painting import paint, paint_labels
from composer_pl_instances.quiet import quiet_import

NAMES = {0: "circle", 1: "square", 2: "star"}
TINY = {
    "nc": 3,
    "channels": 3,
    "depth_multiple": 0.33,
    "width_multiple": 0.25,
    "backbone": [
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "C2f", [64]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [64, 3, 2]],
    ],
    "head": [[[3, 4, 5], 1, "Segment", ["nc", 8, 32]]],
}


def tiny_network(seed=0):
    torch.manual_seed(seed)
    network = build_network(json.loads(json.dumps(TINY)))
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:  # not the fixed integral over box edges
                weight.copy_(torch.randn_like(weight) * 0.3)
        head = network.model[-1]
        head.proto.cv3.bn.weight.fill_(0.1)
        head.proto.cv3.bn.bias.fill_(1)
        for branch in head.cv4:  # positive prototypes, positive coefficients: masks are not empty
            branch[-1].weight.zero_()
            branch[-1].bias.fill_(1)
    network.names = NAMES
    return network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint in the form in which ultralytics saves them, with random weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny-seg.pt"
    torch.save({"epoch": -1, "model": tiny_network().half(), "ema": None, "train_args": {}}, path)
    return path


@pytest.fixture
def plugin(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
    # No threshold, so that a random network finds something.
    return Instances(weights_file=str(checkpoint), canvas=64, confidence=0.0, max_instances=8)


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self, checkpoint, tmp_path, monkeypatch):
        monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
        return Instances(weights_file=str(checkpoint), canvas=64, confidence=0.0, max_instances=8)


def square(left, top, side, size=16):
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


# -- the code and the map --------------------------------------------------------------------------


def test_codes_of_eighty_classes_are_separated_and_independent_of_their_number():
    codes = category_code(torch.arange(80))
    assert torch.pdist(codes).min() > SEPARATION
    assert codes.min() >= 0
    assert codes.max() < 1
    assert torch.equal(category_code(torch.tensor([41])), category_code(torch.arange(1000))[41:42])


def test_smaller_instances_lie_on_top_whatever_their_order_and_score():
    large, small = square(0, 0, 12), square(4, 4, 4)
    code = category_code(torch.tensor([0, 1]))
    for order, scores in (([0, 1], [0.9, 0.3]), ([1, 0], [0.9, 0.3]), ([1, 0], [0.3, 0.9])):
        masks = torch.stack([large, small])[order]
        value = paint(masks, torch.tensor(order), torch.tensor(scores))
        assert torch.equal(value[1:4, 5, 5], code[1])
        assert torch.equal(value[1:4, 1, 1], code[0])


def test_of_equal_instances_the_surer_lies_on_top():
    masks = square(2, 2, 4).expand(2, -1, -1)
    value = paint(masks, torch.tensor([0, 1]), torch.tensor([0.4, 0.6]))
    assert torch.equal(value[1:4, 3, 3], category_code(torch.tensor([1]))[0])


def test_boundary_is_one_pixel_wide_between_instances_and_absent_at_the_background():
    masks = torch.stack([square(2, 2, 4), square(6, 2, 4)])
    value = paint(masks, torch.tensor([0, 0]), torch.tensor([0.5, 0.5]))
    expected = torch.zeros(16, 16)
    expected[2:6, 5] = 1
    assert torch.equal(value[4], expected)
    assert torch.equal(value[0], masks.any(0).float())


def test_no_instance_gives_an_empty_map():
    empty = torch.zeros(0, 8, 8, dtype=torch.bool)
    value = paint(empty, torch.zeros(0, dtype=torch.long), torch.zeros(0))
    assert torch.equal(value, torch.zeros(5, 8, 8))


def test_distance_is_zero_half_and_one_in_the_closed_cases():
    person = paint(square(2, 2, 4)[None], torch.tensor([0]), torch.ones(1))
    dog = paint(square(2, 2, 4)[None], torch.tensor([16]), torch.ones(1))
    elsewhere = paint(square(8, 8, 4)[None], torch.tensor([0]), torch.ones(1))
    half = paint(square(2, 4, 4)[None], torch.tensor([0]), torch.ones(1))
    empty = torch.zeros(5, 16, 16)
    pairs = [
        (person, person, 0),
        (person, dog, 0.5),
        (person, elsewhere, 1),
        (person, half, 1 - 8 / 24),
        (empty, empty, 0),
        (empty, person, 1),
    ]
    value = torch.stack([pair[0] for pair in pairs])
    other = torch.stack([pair[1] for pair in pairs])
    expected = torch.tensor([float(pair[2]) for pair in pairs])
    torch.testing.assert_close(Instances().distance(value, other), expected)
    torch.testing.assert_close(Instances().distance(other, value), expected)


def test_area_averaging_does_not_make_a_category_another_one():
    crisp = paint(square(3, 3, 7)[None], torch.tensor([7]), torch.ones(1))[None]
    soft = torch.nn.functional.interpolate(crisp, size=(8, 8), mode="area")
    soft = torch.nn.functional.interpolate(soft, size=(16, 16), mode="nearest")
    shape, category = soft_iou(soft, crisp)
    assert shape.item() < 0.9  # edges have become soft
    torch.testing.assert_close(category, shape)
    assert Instances().distance(soft, soft).item() == pytest.approx(0, abs=1e-6)


# -- conversion and extraction ---------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_converted_network_answers_as_the_original(checkpoint, tmp_path):
    convert(checkpoint, tmp_path / "out.safetensors")
    network, names = load_network(tmp_path / "out.safetensors")
    original = torch.load(checkpoint, weights_only=False)["model"].float().eval()
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (found, prototypes), _ = network(picture)
        (expected, expected_prototypes), _ = original(picture)
    assert names == tuple(NAMES.values())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(prototypes, expected_prototypes, rtol=1e-3, atol=1e-3)
    assert not any(weight.requires_grad for weight in network.parameters())


def test_command_line_converts_and_refuses(checkpoint, tmp_path, capsys):
    assert main([str(checkpoint), str(tmp_path / "out.safetensors")]) == 0
    assert (tmp_path / "out.safetensors").is_file()
    assert main([str(tmp_path / "absent.pt"), str(tmp_path / "x.safetensors")]) == 2
    assert "absent.pt" in capsys.readouterr().err
    assert main([]) == 2


def test_extraction_reads_the_converted_file_only(plugin, checkpoint, tmp_path, monkeypatch):
    plugin.build_extractor()
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(torch, "load", None)
    plugin.build_extractor()
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 1


def test_extraction_does_not_depend_on_the_batch_and_keeps_the_random_state(plugin):
    state = torch.get_rng_state()
    extractor = plugin.build_extractor()
    assert torch.equal(torch.get_rng_state(), state)
    image = torch.rand(10, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    value = extractor(image)
    assert value.shape == (10, 5, 64, 64)
    assert value[:, 0].sum() > 0, "the random network was meant to find something"
    alone = torch.cat([extractor(image[i : i + 1]) for i in range(10)])
    # Rounding may differ with the batch and move a pixel at an edge.
    assert (value != alone).float().mean() < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (64, 64), (65, 97), (1, 50)])
@pytest.mark.parametrize("level", [-1.0, 0.3, 1.0, None])
def test_pictures_of_any_size_and_of_one_colour_are_taken(plugin, size, level):
    extractor = plugin.build_extractor()
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    if level is not None:
        image = torch.full_like(image, level)
    value = extractor(image)
    assert value.shape == (2, 5, *size)
    assert value.isfinite().all()
    assert (value >= 0).all()
    assert (value <= 1).all()


def test_what_a_picture_lacks_to_a_multiple_of_32_is_grey_beside_it(plugin):
    extractor = plugin.build_extractor()
    image = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(1)) * 2 - 1
    padded = torch.full((1, 3, 64, 96), 2 * 114 / 255 - 1)
    padded[..., :50, :70] = image
    masks = extractor.detect(padded)[0].masks[:, :50, :70]
    found = extractor.detect(image)[0].masks
    assert torch.equal(found, masks[masks.flatten(1).any(1)])


def test_boxes_of_one_class_are_suppressed_and_of_two_classes_are_not(plugin):
    extractor = plugin.build_extractor()
    extractor.confidence = 0.25
    boxes = torch.tensor([[20.0, 20, 10, 10], [21, 20, 10, 10], [20, 21, 10, 10], [50, 50, 9, 9]])
    scores = torch.tensor([[0.9, 0, 0], [0.8, 0, 0], [0, 0.7, 0], [0.01, 0, 0.02]])
    row = torch.cat([boxes, scores, torch.zeros(4, 8)], 1).T
    kept, sure, classes, coefficients = extractor._select(row)
    assert classes.tolist() == [0, 1]
    assert sure.tolist() == pytest.approx([0.9, 0.7])
    assert kept[0].tolist() == [15, 15, 25, 25]
    assert coefficients.shape == (2, 8)


def test_end_to_end_heads_are_read(tmp_path):
    description = json.loads(json.dumps(TINY)) | {"end2end": True, "reg_max": 1}
    description["head"][0][2] = "Segment26"
    network = build_network(json.loads(json.dumps(description)))
    network.names = NAMES
    torch.save({"model": network}, tmp_path / "e2e.pt")
    convert(tmp_path / "e2e.pt", tmp_path / "e2e.safetensors")
    extractor = Instances(
        weights_file=str(tmp_path / "e2e.safetensors"), confidence=0.0, max_instances=5
    ).build_extractor()
    found = extractor.detect(torch.zeros(2, 3, 64, 64))
    assert all(len(item.scores) <= 5 and item.masks.shape[1:] == (64, 64) for item in found)
    row = torch.cat(
        [torch.tensor([[0.0, 0, 9, 9, 0.4, 2], [1, 1, 8, 8, 0.9, 1]]), torch.ones(2, 8)], 1
    )
    boxes, scores, classes, coefficients = extractor._select_end_to_end(row)
    assert classes.tolist() == [1, 2]
    assert scores.tolist() == pytest.approx([0.9, 0.4])
    assert boxes[0].tolist() == [1, 1, 8, 8]
    assert coefficients.shape == (2, 8)


def test_wrong_arguments_are_named(plugin):
    with pytest.raises(ConfigError, match="multiple of 32"):
        Instances(canvas=100).build_extractor()
    with pytest.raises(ConfigError, match="yolov5"):
        Instances(model="yolov5").build_extractor()


def test_published_weights_are_pinned_and_asked_for():
    for name in ("yolo26n-seg", "yolo11n-seg", "yolov8n-seg"):
        (spec,) = Instances(model=name).weights_in_use()
        assert spec.url.endswith(f"/{name}.pt")
        assert len(spec.sha256) == 64
        assert spec.license == "AGPL-3.0-only"
        assert spec.converted.endswith(".safetensors")


# -- foreign code ----------------------------------------------------------------------------------


class _Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_with_code_is_refused_and_the_code_does_not_run(tmp_path, legacy):
    trace = tmp_path / "ran"
    code = _Runs(os.system, f"touch {trace}")
    torch.save({"model": code}, tmp_path / "evil.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserInputError, match=r"evil\.pt"):
        convert(tmp_path / "evil.pt", tmp_path / "out.safetensors")
    assert not trace.exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_known_names_are_never_resolved(tmp_path):
    # A name on the list, called with arguments that would read a file, does nothing.
    tal = quiet_import("ultralytics.utils.tal")
    trace = tmp_path / "ran"
    torch.save({"model": _Runs(tal.make_anchors, str(trace), 1)}, tmp_path / "odd.pt")
    with pytest.raises(UserInputError, match=r"no plain data|network description"):
        convert(tmp_path / "odd.pt", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "__import__('os').system('touch ran')"},
        {"backbone": [[-1, 1, "os", [1]]]},
        {"head": [[[3], 1, "Conv", [8]]]},
        {"backbone": "text"},
    ],
)
def test_a_description_that_could_run_code_is_refused(tmp_path, change, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = tiny_network()
    network.yaml = {**network.yaml, **change}
    torch.save({"model": network}, tmp_path / "evil.pt")
    with pytest.raises(UserInputError, match=r"evil\.pt"):
        convert(tmp_path / "evil.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"backbone": None}},
        {"network": {"head": 5}},
        {"network": {"backbone": [[-1, 1, ["Conv"], [32, 3, 2]]]}},
        {"network": {"backbone": [[-1, 1, "Conv", None]]}},
        {"network": {"backbone": [[-1, 1, "Conv", ["print('ran')", 3, 2]]]}},
        {"network": {"backbone": [[99, 1, "Conv", [32, 3, 2]]]}},
        {"network": {"scales": {"n": "x"}}},
        {"network": {"nc": "three"}},
        {"names": ["one"]},
    ],
)
def test_a_damaged_description_is_refused_by_name(checkpoint, tmp_path, change, capsys):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = tmp_path / "own.safetensors"
    convert(checkpoint, path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    network = {**json.loads(metadata["network"]), **change.get("network", {})}
    names = change.get("names", json.loads(metadata["names"]))
    metadata |= {"network": json.dumps(network), "names": json.dumps(names)}
    save_file(load_file(path), path, metadata=metadata)
    with pytest.raises(UserInputError, match=r"own\.safetensors.*Next:"):
        load_network(path)
    assert "ran" not in capsys.readouterr().out


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("no checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    for name in ("text.pt", "empty.pt", "other.pt", "absent.pt"):
        with pytest.raises(UserInputError, match=name):
            convert(tmp_path / name, tmp_path / "out.safetensors")
    (tmp_path / "text.safetensors").write_text("none")
    with pytest.raises(UserInputError, match=r"text\.safetensors"):
        load_network(tmp_path / "text.safetensors")


# -- the import of ultralytics ---------------------------------------------------------------------

_PROBE = """
import os, socket, subprocess, sys
def refuse(*arguments, **named): raise AssertionError(f"network: {arguments}")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
started = []
popen = subprocess.Popen.__init__
def record(self, command, *rest, **named):
    started.append(command)
    popen(self, command, *rest, **named)
subprocess.Popen.__init__ = record
import numpy, torch
from PIL import Image
torch.set_num_threads(2)
def state():
    printing = str(vars(torch._tensor_str.PRINT_OPTS)), numpy.get_printoptions()
    replaced = torch.save, torch.load, Image.open, Image.MAX_IMAGE_PIXELS
    return dict(os.environ), torch.get_num_threads(), printing, replaced, os.getcwd()
before = state()
from composer_pl_instances.quiet import quiet_import
assert "ultralytics" not in sys.modules and "cv2" not in sys.modules
quiet_import("ultralytics.nn.tasks")
utils = quiet_import("ultralytics.utils")
for old, new in zip(before, state()):
    assert old == new, (old, new)
assert not utils.ONLINE and not utils.AUTOINSTALL and utils.SAFE_LOAD
assert utils.SETTINGS["sync"] is False
assert not any("pip" in str(command) for command in started), started
import cv2
assert cv2.getNumThreads() > 0
"""


@pytest.mark.parametrize("threads", [None, pytest.param("3", marks=pytest.mark.slow)])
def test_importing_ultralytics_leaves_no_trace(tmp_path, threads):
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP", "YOLO"))
    }
    environment.update(HOME=str(home), XDG_CONFIG_HOME=str(home), WORLD_SIZE="2", LOCAL_RANK="1")
    environment.update({} if threads is None else {"OMP_NUM_THREADS": threads})
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], env=environment, capture_output=True, text=True, cwd=home
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []


def test_the_package_imports_without_ultralytics_or_opencv():
    code = (
        "import sys, composer_pl_instances, composer_pl_instances.convert\n"
        "assert not {'ultralytics', 'cv2', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- files made by people --------------------------------------------------------------------------


def test_indexed_and_grey_label_maps_read_alike(tmp_path):
    ids = np.zeros((6, 8), np.uint8)
    ids[1:4, 1:4], ids[1:4, 4:7] = 1, 17
    Image.fromarray(ids).save(tmp_path / "grey.png")
    indexed = Image.fromarray(ids, mode=None).convert("P")
    indexed.putdata(ids.flatten().tolist())
    indexed.putpalette(list(itertools.chain.from_iterable((i, 255 - i, 7) for i in range(256))))
    indexed.save(tmp_path / "indexed.png")
    value = Instances().read(tmp_path / "indexed.png")
    assert torch.equal(value, Instances().read(tmp_path / "grey.png"))
    assert torch.equal(value[1:4, 2, 2], category_code(torch.tensor([0]))[0])
    assert torch.equal(value[1:4, 2, 5], category_code(torch.tensor([16]))[0])
    assert value[4].nonzero().tolist() == [[1, 3], [2, 3], [3, 3]]


def test_black_and_white_shapes_read_without_category(tmp_path):
    levels = np.zeros((4, 4), np.uint8)
    levels[1:3] = 255
    Image.fromarray(levels).save(tmp_path / "shape.png")
    Image.fromarray(levels).convert("1").save(tmp_path / "bit.png")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    for name in ("shape.png", "bit.png", "deep.png"):
        value = Instances().read(tmp_path / name)
        assert torch.equal(value[0], torch.from_numpy(levels / 255).float())
        assert value[1:].sum() == 0


def test_lossy_coloured_and_broken_label_maps_are_refused_with_the_reason(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "map.jpg")
    with pytest.raises(UserInputError, match="lossy"):
        Instances().read(tmp_path / "map.jpg")
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
    with pytest.raises(UserInputError, match="colours"):
        Instances().read(tmp_path / "colour.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "header.png").write_bytes(b"P5 4x 4 255 ")  # pillow raises a ValueError
    for name in ("text.png", "header.png", "with\0nul.png"):
        with pytest.raises(UserInputError, match="Next:"):
            Instances().read(tmp_path / name)


@pytest.mark.parametrize("kind", ["photo", "soft edges", "16 bit levels"])
def test_grey_levels_are_not_taken_for_class_ids(tmp_path, kind):
    path = tmp_path / "grey.png"
    levels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    if kind == "soft edges":
        levels = np.clip(np.hypot(*np.mgrid[-20:20, -20:20]) * 16, 0, 255).astype(np.uint8)
    elif kind == "16 bit levels":
        levels = np.array([[0, 300, 40_000, 65_535]], np.uint16)
    Image.fromarray(levels).save(path)
    with pytest.raises(UserInputError, match=r"grey\.png.*different levels.*Next:"):
        Instances().read(path)


def test_boundaries_are_drawn_white_and_background_black():
    masks = torch.stack([square(2, 2, 4), square(6, 2, 4)])
    value = paint(masks, torch.tensor([3, 4]), torch.ones(2))[None]
    shown = Instances().visualize(value)
    assert (shown[0, :, 2:6, 5] == 1).all()
    assert (shown[0, :, 10:] == 0).all()


def test_painting_labels_agrees_with_painting_masks():
    masks = torch.stack([square(0, 0, 12), square(4, 4, 4)])
    classes = torch.tensor([5, 9])
    top = masks[0].long() + masks[1].long()
    assert torch.equal(paint_labels(top, classes), paint(masks, classes, torch.ones(2)))


# -- real photos -----------------------------------------------------------------------------------


@pytest.mark.data
def test_real_photos_are_segmented_as_the_coco_annotators_did(tmp_path, monkeypatch):
    folder = os.environ.get("COMPOSER_PL_TEST_DATA")
    weights = Path(folder or "", "weights/yolo/yolov8n-seg-from-int8.pt")
    if not folder or not weights.is_file():
        pytest.skip("COMPOSER_PL_TEST_DATA names no folder with weights/yolo")
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path))
    extractor = Instances(weights_file=str(weights)).build_extractor()
    coco = json.loads(Path(folder, "coco/annotations/instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert sorted(extractor.names) == sorted(names.values())
    photos = sorted(coco["images"], key=lambda photo: photo["id"])[:12]
    hits = total = 0
    for photo in photos:
        picture = Image.open(Path(folder, "coco/val2017", photo["file_name"])).convert("RGB")
        canvas = Image.new("RGB", (640, 640), (114, 114, 114))
        canvas.paste(picture)
        pixels = torch.from_numpy(np.array(canvas)).permute(2, 0, 1)[None]
        (found,) = extractor.detect(pixels / 127.5 - 1)
        for truth in coco["annotations"]:
            large = truth["area"] > 96**2 and not truth["iscrowd"]
            if truth["image_id"] == photo["id"] and large:
                mask = _polygons(truth["segmentation"])
                same = [extractor.names[k] == names[truth["category_id"]] for k in found.classes]
                total += 1
                hits += any(iou > 0.5 for iou in _ious(found.masks[same], mask))
    assert total >= 10
    assert hits / total >= 0.5, f"{hits} of {total} large objects"


def _polygons(segmentation):
    from PIL import ImageDraw

    picture = Image.new("1", (640, 640))
    for polygon in segmentation:
        ImageDraw.Draw(picture).polygon(polygon, fill=1)
    return torch.from_numpy(np.array(picture))


def _ious(masks, mask):
    return [((m & mask).sum() / (m | mask).sum()).item() for m in masks]
