"""The tiny network of scenes: what it is, how it is trained, saved, loaded and measured."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from composer_pl.data.scenes import vocabulary
from composer_pl.plugin import ConfigError, MissingWeightsError, UserInputError
from composer_pl_instances import Instances
from composer_pl_instances.extractor import Detections
from composer_pl_instances.measuring import measure
from composer_pl_instances.networks import (
    CHECKPOINTS,
    build_network,
    file_metadata,
    load_network,
)
from composer_pl_instances.tiny import NAMES, SLOTS, description
from composer_pl_instances.training import save, train


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return {
        name: entry.clone() for name, entry in build_network(description()).state_dict().items()
    }


@pytest.fixture(scope="module")
def weights(untrained, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "own.safetensors"
    save(untrained, path)
    return path


def squares(count=4, side=64):
    """Pictures of two squares, the class of each told by its colour."""
    pixels = torch.full((count, 3, side, side), 90, dtype=torch.uint8)
    ids = torch.zeros(count, side, side, dtype=torch.uint8)
    attributes = torch.full((count, SLOTS, 6), -1, dtype=torch.int8)
    for row in range(count):
        for slot, (left, top) in enumerate(((4 + row, 6), (34, 30 - row))):
            ids[row, top : top + 24, left : left + 24] = slot + 1
            pixels[row, slot, top : top + 24, left : left + 24] = 220
            attributes[row, slot, 3] = slot
    return pixels, ids, attributes


# -- what it is ------------------------------------------------------------------------------------


def test_it_knows_the_shapes_of_scenes_in_their_order():
    assert NAMES == vocabulary.SHAPES
    assert SLOTS == vocabulary.MAX_OBJECTS


def test_it_has_two_million_parameters(untrained):
    network = build_network(description())
    count = sum(weight.numel() for weight in network.parameters())
    assert 1.8e6 < count < 2.2e6
    assert description() == description(), "building must not change the description"


def test_the_canvas_is_what_the_model_wants_unless_told():
    assert Instances(model="tiny-scenes").canvas == 256
    assert Instances().canvas == Instances(model="yolov8n-seg").canvas == 640
    assert Instances(model="tiny-scenes", canvas=320).canvas == 320
    told = Instances(model="tiny-scenes")
    assert Instances(**told.config()) == told
    assert Instances(canvas=640) == Instances()


def test_its_weights_are_shipped_and_read_as_they_are():
    (spec,) = Instances(model="tiny-scenes").weights_in_use()
    assert spec.name == "yolo-tiny-scenes-seg.safetensors"
    assert spec.packaged.endswith("/composer_pl_instances/weights/" + spec.name)
    assert not spec.url
    assert not spec.converted
    assert spec.license == "AGPL-3.0-only"


def test_a_missing_or_changed_shipped_file_is_named_in_one_line(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "yolo-tiny-scenes-seg.safetensors"
    spec = replace(CHECKPOINTS["tiny-scenes"], packaged=str(place), sha256="0" * 64)
    monkeypatch.setitem(CHECKPOINTS, "tiny-scenes", spec)
    with pytest.raises(MissingWeightsError, match=r"no such file.*Next: reinstall") as error:
        Instances(model="tiny-scenes").build_extractor()
    assert str(place) in str(error.value)
    assert "\n" not in str(error.value)
    place.write_bytes(weights.read_bytes())
    with pytest.raises(MissingWeightsError, match="another file"):
        Instances(model="tiny-scenes").build_extractor()
    monkeypatch.setitem(CHECKPOINTS, "tiny-scenes", replace(spec, sha256=""))
    assert Instances(model="tiny-scenes").build_extractor().names == NAMES


# -- files under another name ----------------------------------------------------------------------


def test_a_file_of_its_kind_is_read_under_its_name(weights):
    extractor = Instances(model="tiny-scenes", weights_file=str(weights)).build_extractor()
    assert extractor.names == NAMES


@pytest.mark.parametrize("model", ["yolo26n-seg", "yolo11n-seg", "yolov8n-seg"])
def test_its_weights_under_another_models_name_are_refused(model, weights):
    with pytest.raises(ConfigError, match=rf"{model}.*tiny.*`model` to tiny-scenes") as error:
        Instances(model=model, weights_file=str(weights)).build_extractor()
    assert "\n" not in str(error.value)


def test_weights_of_another_network_under_its_name_are_refused(tmp_path):
    other = description() | {"width_multiple": 0.5, "nc": 2}
    other["head"][-1][-1][-1] = 32
    network = build_network(json.loads(json.dumps(other)))
    halves = {name: entry.half() for name, entry in network.state_dict().items()}
    path = tmp_path / "other.safetensors"
    save_file(halves, path, metadata=file_metadata(other, ("cat", "dog"), halves, path))
    assert load_network(path)[1] == ("cat", "dog")
    with pytest.raises(ConfigError, match=r"'tiny-scenes', found another one.*Next:") as error:
        Instances(model="tiny-scenes", weights_file=str(path)).build_extractor()
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_checkpoint_of_its_kind_with_other_classes_is_converted(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
    network = build_network(description() | {"nc": 2})
    network.names = {0: "cat", 1: "dog"}
    torch.save({"model": network.half()}, tmp_path / "own-seg.pt")
    plugin = Instances(model="tiny-scenes", weights_file=str(tmp_path / "own-seg.pt"))
    assert plugin.build_extractor().names == ("cat", "dog")


def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "other.safetensors").write_bytes(b"none")
    for name, error in (("other.safetensors", UserInputError), ("no.pt", MissingWeightsError)):
        with pytest.raises(error, match=rf"{re.escape(name)}.*Next:") as found:
            Instances(model="tiny-scenes", weights_file=str(tmp_path / name)).build_extractor()
        assert "\n" not in str(found.value)


# -- saving ----------------------------------------------------------------------------------------


def test_saved_weights_come_back_in_half_precision(untrained, weights):
    network, names = load_network(weights)
    assert names == NAMES
    entry = "model.22.proto.cv3.conv.weight"
    fused = network.state_dict()[entry]
    expected = untrained[entry].half().float() / math.sqrt(1 + 1e-3)  # the fresh normalisation
    torch.testing.assert_close(fused, expected)
    assert weights.stat().st_size < 4.5e6


def test_weights_that_are_not_finite_or_of_another_network_are_not_saved(untrained, tmp_path):
    entry = "model.22.proto.cv3.conv.weight"
    with pytest.raises(ConfigError, match=re.escape(entry)):
        save({**untrained, entry: untrained[entry] * 1e9}, tmp_path / "out.safetensors")
    with pytest.raises(UserInputError, match="do not fit"):
        save({entry: untrained[entry]}, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


# -- training and measuring ------------------------------------------------------------------------


def test_training_is_a_function_of_its_seed_and_leaves_random_state_and_scenes_alone(untrained):
    data = squares()
    before = [part.clone() for part in data]
    state = torch.get_rng_state()
    lines = []
    settings = {"steps": 2, "batch": 2, "device": "cpu", "size": 64, "log": lines.append}
    first, again = train(*data, **settings), train(*data, **settings)
    other = train(*data, seed=1, **settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(data, before, strict=True))
    assert first.keys() == untrained.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    entry = "model.22.proto.cv3.conv.weight"
    assert not torch.equal(first[entry], other[entry])
    assert lines[-1].startswith("instances 2/2: box ")


def test_training_ends_with_its_time():
    lines = []
    train(*squares(), steps=10**6, batch=2, device="cpu", size=64, seconds=1e-3, log=lines.append)
    assert [line.partition(":")[0] for line in lines] == ["instances 1/1000000"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"size": 100}, "multiple of 32"),
        ({"steps": 0}, "at least 1"),
        ({"seconds": 0.0}, "seconds"),
        ({"pixels": torch.zeros(4, 3, 64, 64)}, "bytes"),
        ({"ids": torch.zeros(4, 32, 32, dtype=torch.uint8)}, "ids of the shape"),
        ({"attributes": torch.zeros(3, 5, 6, dtype=torch.int8)}, "attributes of the shape"),
        ({"pixels": torch.zeros(0, 3, 64, 64, dtype=torch.uint8)}, "at least one scene"),
    ],
)
def test_unusable_scenes_and_numbers_are_named(change, rule):
    pixels, ids, attributes = squares()
    settings = {"pixels": pixels, "ids": ids, "attributes": attributes, "steps": 1, "device": "cpu"}
    with pytest.raises(ConfigError, match=rf"{rule}.*Next:"):
        train(**(settings | change))


class _Told(torch.nn.Module):
    """Answers with given detections."""

    def __init__(self, answers):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answers = answers

    def detect(self, image):
        return self.answers


def _detections(*found, side=64):
    masks = torch.zeros(len(found), side, side, dtype=torch.bool)
    for mask, (left, top, right, bottom, _) in zip(masks, found, strict=True):
        mask[top:bottom, left:right] = True
    classes = torch.tensor([one[4] for one in found], dtype=torch.long)
    return Detections(masks, classes, torch.ones(len(found)), torch.zeros(len(found), 4))


def test_measures_are_right_in_closed_cases():
    data = squares(2)
    whole = _detections((4, 6, 28, 30, 0), (34, 30, 58, 54, 1))
    # Of the second picture: one object covered to three quarters, of a wrong class; one missed.
    part = _detections((5, 6, 23, 30, 6))
    found = measure(_Told([whole, part]), *data, size=64)
    assert found["scenes"] == 2
    assert (found["instances"], found["detections"]) == (4, 3)
    assert found["recall"] == pytest.approx(3 / 4)
    assert found["precision"] == 1
    assert found["mask_iou"] == pytest.approx((1 + 1 + 0.75) / 3)
    assert found["right_class"] == pytest.approx(2 / 3)
    assert found["map_shape_iou"] == pytest.approx((1 + 0.75 / 2) / 2)
    assert found["map_category_iou"] == pytest.approx(0.5)
    assert measure(_Told([whole]), *squares(1), size=64)["map_category_iou"] == 1


def test_nothing_found_gives_no_number_where_there_is_none():
    found = measure(_Told([_detections(), _detections()]), *squares(2), size=64)
    assert found["recall"] == 0
    assert math.isnan(found["precision"])
    assert math.isnan(found["mask_iou"])


@pytest.mark.slow
def test_a_few_steps_on_rendered_scenes_teach_it_something(tmp_path):
    from composer_pl.data.scenes.render import render
    from composer_pl.data.scenes.sampler import SceneSampler

    sampler = SceneSampler(0)
    drawn = [sampler.scene(index) for index in range(64)]
    renderings = [render(drawn[first : first + 16], 128) for first in range(0, 64, 16)]
    pixels = torch.cat([one.pixels for one in renderings])
    ids = torch.cat([one.ids for one in renderings])
    attributes = torch.full((64, SLOTS, 6), -1, dtype=torch.int8)
    for row, scene in enumerate(drawn):
        for slot, thing in enumerate(scene.objects):
            attributes[row, slot, 3] = NAMES.index(thing.shape)
    lines = []
    settings = {"batch": 8, "device": "cpu", "size": 128}
    train(pixels, ids, attributes, steps=1, log=lines.append, **settings)
    state = train(pixels, ids, attributes, steps=60, log=lines.append, **settings)
    first, last = ([float(x) for x in re.findall(r"\d+\.\d{3}", lines[i])][:4] for i in (0, -1))
    assert sum(last) < 0.6 * sum(first)
    save(state, tmp_path / "tiny.safetensors")
    extractor = Instances(
        model="tiny-scenes", weights_file=str(tmp_path / "tiny.safetensors"), confidence=0.1
    ).build_extractor()
    found = measure(extractor, pixels, ids, attributes, size=128)
    assert found["recall"] > 0.05
    assert found["mask_iou"] > 0.6
