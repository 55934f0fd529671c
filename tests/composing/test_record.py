"""Facts about pictures that carry what made them."""

import json
import zlib
from dataclasses import replace

import pytest
import torch
from fakes import FakeGlobal, FakeLocal
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from tiny import TINY

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing, make, make_batches
from composer_pl.composing.parts import Parts
from composer_pl.composing.record import CHUNK, TEXT, read_record, record_chunks, write_pictures
from composer_pl.composing.reproduction import readable, rewrite
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import ConditionGuidance, SamplingRecipe
from composer_pl.models.tiling import Tiling

FAST = SamplingRecipe(steps=2, max_batch=2)


def filled(seed):
    """A small model that says something."""
    torch.manual_seed(seed)
    model = ComposerModel(
        TINY, ProcessConfig(prediction="v"), {"mean": FakeGlobal(), "grey": FakeLocal()}
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture
def composer(fake_plugins):
    return Composer(filled(0), origins={"base": "somewhere"})


def parts_of(composer, seed=0):
    """A legal value of each condition, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    side = composer.model.value_size(composer.side, composer.side)[0]
    values = {}
    for name, plugin in composer.model.plugins.items():
        shape = [side if size in ("H", "W") else size for size in plugin.spec.shape]
        values[name] = torch.rand(*shape, generator=generator)
    return Parts(values, {name: f"a note on {name}" for name in values})


def full_drawing(composer):
    side = composer.side
    parts = parts_of(composer)
    first = next(iter(parts))
    return Drawing(
        parts=parts,
        against=parts_of(composer, seed=1).only(first),
        recipe=SamplingRecipe(
            sampler="ddim",
            steps=2,
            conditions={first: ConditionGuidance(weight=0.5, region="0,0,1,0.5")},
        ),
        n=3,
        seed=5,
        size=(side, side),
        noise=torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2)),
        background=torch.rand(3, side, side) * 2 - 1,
        inside=(torch.arange(side) < side // 2).float().expand(1, side, side).contiguous(),
        tiling=Tiling(side=16, overlap=8),
        task="a test",
    )


def test_a_picture_is_made_again_byte_for_byte(composer, tmp_path):
    made = make(composer, full_drawing(composer))
    paths = write_pictures(tmp_path, made, composer, first=7)
    assert [path.name for path in paths] == ["007.png", "008.png", "009.png"]
    assert len({path.read_bytes() for path in paths}) == 3
    again = tmp_path / "again.png"
    assert rewrite(read_record(paths[1]), composer, again) == []
    assert again.read_bytes() == paths[1].read_bytes()


def test_the_record_holds_every_value(composer, tmp_path):
    drawing = full_drawing(composer)
    (path, *_) = write_pictures(tmp_path, make(composer, drawing), composer)
    found = read_record(path)
    assert found.index == 0
    assert found.models["base"]["origin"] == "somewhere"
    for name in ("parts", "against", "recipe", "tiling", "n", "seed", "size", "task"):
        assert getattr(found.drawing, name) == getattr(drawing, name)
    assert found.drawing.parts.notes == drawing.parts.notes
    for name in ("noise", "inside"):
        value, original = getattr(found.drawing, name), getattr(drawing, name)
        assert torch.equal(value, original)


def test_outside_the_region_pixels_are_the_backgrounds(composer):
    drawing = full_drawing(composer)
    (picture, *_) = make(composer, drawing).pictures
    background = drawing.background
    assert background is not None
    height, width = background.shape[1:]
    raw = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    pixels = raw.view(height, width, 3).permute(2, 0, 1)
    expected = ((background + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(pixels[..., width // 2 :], expected[..., width // 2 :])
    assert not torch.equal(pixels[..., : width // 2], expected[..., : width // 2])


def test_people_and_programs_can_read_the_recipe(composer, tmp_path):
    made = make(composer, Drawing(parts=parts_of(composer), recipe=FAST, seed=11))
    (path,) = write_pictures(tmp_path, made, composer)
    with Image.open(path) as picture:
        told = json.loads(picture.info[TEXT])
    assert told["seed"] == 11
    assert told["recipe"]["steps"] == 2
    assert set(told["conditions"]) == set(composer.names)
    assert told["models"]["base"]["sha256"] == composer.identity["base"]["sha256"]


def test_all_that_a_picture_was_drawn_from_is_told(composer, tmp_path):
    drawing = replace(full_drawing(composer), upsampling=FAST)
    (path, *_) = write_pictures(tmp_path, make(composer, drawing), composer)
    told = json.loads(readable(read_record(path)))
    assert told["upsampling"]["steps"] == 2
    assert told["tiling"] == {"side": 16, "overlap": 8}
    assert told["size"] == [composer.side] * 2
    assert told["autocast"] == ""
    for name in ("noise", "mask", "background"):
        assert len(told[name]["sha256"]) == 64
    assert told["luma"] is None
    with Image.open(path) as picture:
        assert json.loads(picture.info[TEXT]) == told


def test_a_picture_of_before_is_made_again_as_it_was(composer, tmp_path):
    made = make(composer, full_drawing(composer))
    (path, *_) = write_pictures(tmp_path, made, composer)
    before = replace(read_record(path), told=1)
    made.pictures[0].save(path, "PNG", pnginfo=record_chunks(before))
    with Image.open(path) as picture:
        assert "upsampling" not in json.loads(picture.info[TEXT])
    assert read_record(path).told == 1
    assert rewrite(read_record(path), composer, tmp_path / "again.png") == []
    assert (tmp_path / "again.png").read_bytes() == path.read_bytes()
    assert '"upsampling"' in readable(read_record(path))


def test_what_was_drawn_in_bfloat16_is_drawn_so_again(composer, tmp_path):
    drawing = Drawing(parts=parts_of(composer), recipe=FAST, n=3)
    with torch.autocast("cpu", torch.bfloat16):
        made = make(composer, drawing)
    assert made.drawing.autocast == "bfloat16"
    plain = make(composer, drawing)
    assert plain.drawing == drawing
    assert plain.pictures[2].tobytes() != made.pictures[2].tobytes()
    path = write_pictures(tmp_path, made, composer)[2]
    assert read_record(path).drawing.autocast == "bfloat16"
    assert rewrite(read_record(path), composer, tmp_path / "again.png") == []
    assert (tmp_path / "again.png").read_bytes() == path.read_bytes()
    for _ in make_batches(composer, made.drawing):
        assert not torch.is_autocast_enabled("cpu")  # nothing leaks to who takes the pictures


def test_another_model_is_refused(composer, tmp_path):
    made = make(composer, Drawing(parts=Parts({}), recipe=FAST))
    (path,) = write_pictures(tmp_path, made, composer)
    other = Composer(filled(1))
    with pytest.raises(UserInputError, match="expected the base model with digest") as caught:
        rewrite(read_record(path), other, tmp_path / "again.png")
    assert "--ckpt" in str(caught.value)
    assert not (tmp_path / "again.png").exists()


def test_changes_of_the_machine_are_told(composer, tmp_path):
    made = make(composer, Drawing(parts=Parts({}), recipe=FAST))
    (path,) = write_pictures(tmp_path, made, composer)
    record = read_record(path)
    machine = {**record.machine, "threads": 99}
    object.__setattr__(record, "machine", machine)
    (change,) = rewrite(record, composer, tmp_path / "again.png")
    assert change.startswith("threads: 99 then")


def save_with(path, chunk):
    info = PngInfo()
    if chunk is not None:
        info.add(CHUNK, chunk)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)


@pytest.mark.parametrize(
    ("chunk", "problem"),
    [
        (None, "found one without a recipe"),
        (b"not compressed", "damaged or foreign"),
        (zlib.compress(b"no safetensors"), "damaged or foreign"),
        (zlib.compress(b""), "damaged or foreign"),
    ],
)
def test_foreign_and_damaged_records_are_one_line(tmp_path, chunk, problem):
    path = tmp_path / "picture.png"
    save_with(path, chunk)
    with pytest.raises(UserInputError, match="Reading the recipe of") as caught:
        read_record(path)
    assert problem in str(caught.value)


def test_a_cut_record_is_one_line(composer, tmp_path):
    made = make(composer, Drawing(parts=Parts({}), recipe=FAST))
    (path,) = write_pictures(tmp_path, made, composer)
    with Image.open(path) as picture:
        picture.load()
        (chunk,) = (c[1] for c in getattr(picture, "private_chunks") if c[0] == CHUNK)  # noqa: B009
    save_with(path, chunk[: len(chunk) // 2])
    with pytest.raises(UserInputError, match="damaged or foreign"):
        read_record(path)


def written_by_a_stranger(path, composer, drawing, **changes):
    """A picture whose record says something else of its machine, or holds another value."""
    (original,) = write_pictures(path.parent, make(composer, drawing), composer)
    record = read_record(original)
    tensors = changes.pop("tensors", {})
    record = replace(record, machine={**record.machine, **changes})
    kept = zlib.decompress(
        next(data for kind, data, *_ in record_chunks(record).chunks if kind == CHUNK)
    )
    save_with(path, zlib.compress(write_tensors({**read_tensors(kept), **tensors})))


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 0},
        {"threads": 10**9},
        {"threads": "many"},
        {"threads": None},
        {"threads": float("inf")},
        {"versions": 3},
        {"device": None},
        {"tensors": {"background": torch.zeros(3, 8, dtype=torch.uint8)}},
        {"tensors": {"luma": torch.zeros(3, 8, 8, dtype=torch.uint8)}},
        {"tensors": {"inside": torch.zeros(1, 8, 8)}},
    ],
)
def test_nonsense_in_a_record_is_one_line(composer, tmp_path, changes):
    path = tmp_path / "strange.png"
    written_by_a_stranger(path, composer, Drawing(parts=Parts({}), recipe=FAST), **changes)
    with pytest.raises(UserInputError, match="damaged or foreign") as caught:
        read_record(path)
    assert "\n" not in str(caught.value)


def test_too_many_pixels_are_one_line(tmp_path, monkeypatch):
    Image.new("1", (64, 64)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserInputError, match="expected a picture, found none that can be read"):
        read_record(tmp_path / "large.png")


def test_what_is_no_picture_is_one_line(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(UserInputError, match="expected a picture"):
            read_record(tmp_path / name)
