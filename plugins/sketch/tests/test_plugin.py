"""Facts of the condition `sketch`."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from composer_pl.errors import ConfigError, MissingWeightsError, UserInputError
from composer_pl.plugin.testing import PluginContract
from composer_pl_sketch import Sketch
from composer_pl_sketch.edges import build_detector, read_state
from composer_pl_sketch.pidinet import PiDiNet, plain_kernel
from composer_pl_sketch.simplify import draw, select, thin
from composer_pl_sketch.weights import WEIGHTS


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self):
        return Sketch(canvas=64)


@pytest.fixture
def data():
    folder = os.environ.get("COMPOSER_PL_TEST_DATA")
    if not folder:
        pytest.skip("COMPOSER_PL_TEST_DATA names no folder of real photos")
    return Path(folder)


def square(side: int = 64, inner: int = 16) -> torch.Tensor:
    """A white square on black, in [-1, 1]."""
    picture = torch.full((1, 3, side, side), -1.0)
    picture[..., inner:-inner, inner:-inner] = 1
    return picture


def picture_of(file: Path, side: int | None = None) -> torch.Tensor:
    """A photo in [-1, 1], at its own size or squeezed to a square."""
    photo = Image.open(file).convert("RGB")
    if side:
        photo = photo.resize((side, side))
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 127.5 - 1


def published_state(size: str) -> dict[str, torch.Tensor]:
    """Random weights in the published form: every kernel 3x3, before conversion."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, weight in PiDiNet(size).state_dict().items():
        shape = (*weight.shape[:2], 3, 3) if weight.shape[-1] == 5 else tuple(weight.shape)
        state[name] = torch.randn(shape, generator=generator) * 0.1
    return state


# -- pixel differences -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["central", "radial"])
def test_a_difference_kernel_answers_nothing_to_an_even_picture(kind):
    kernel = torch.randn(4, 1, 3, 3, dtype=torch.float64)
    assert plain_kernel(kernel, kind).sum((2, 3)).abs().max() < 1e-12


def test_a_central_kernel_convolves_differences_to_the_centre():
    kernel, pixels = torch.randn(3, 3).double(), torch.randn(3, 3).double()
    plain = plain_kernel(kernel[None, None], "central")[0, 0]
    expected = (kernel * (pixels - pixels[1, 1])).sum()
    assert (plain * pixels).sum().item() == pytest.approx(expected.item())


def test_an_angular_kernel_convolves_differences_along_the_ring():
    kernel = torch.zeros(1, 1, 3, 3)
    for row, column in ((0, 0), (0, 2), (2, 1), (1, 0)):
        kernel.zero_()
        kernel[0, 0, row, column] = 1
        plain = plain_kernel(kernel, "angular")
        assert plain.sum() == 0
        assert plain.abs().sum() == 2
        assert plain[0, 0, row, column] == 1
        (y, x) = (plain[0, 0] == -1).nonzero()[0].tolist()
        assert abs(y - row) + abs(x - column) == 1  # the neighbour on the ring
    kernel.zero_()
    kernel[0, 0, 1, 1] = 1
    assert plain_kernel(kernel, "angular").abs().sum() == 0


def test_a_radial_kernel_spans_five_pixels_and_takes_inner_from_outer():
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 2, 2] = 1
    plain = plain_kernel(kernel, "radial")[0, 0]
    assert plain.shape == (5, 5)
    assert plain[4, 4] == 1
    assert plain[3, 3] == -1
    assert plain.abs().sum() == 2


@pytest.mark.parametrize(
    ("size", "count"), [("pidinet", 710149), ("pidinet-small", 183763), ("pidinet-tiny", 84477)]
)
def test_pidinet_has_the_published_number_of_parameters(size, count):
    assert sum(weight.numel() for weight in published_state(size).values()) == count


# -- weights ---------------------------------------------------------------------------------------


def test_safetensors_and_torch_files_give_the_same_edges(tmp_path):
    from safetensors.torch import save_file

    state = published_state("pidinet-tiny")
    save_file(state, tmp_path / "net.safetensors")
    prefixed = {f"module.{name}": weight for name, weight in state.items()}
    torch.save({"epoch": 1, "state_dict": prefixed}, tmp_path / "net.pth")
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        ours, theirs = (
            build_detector("pidinet-tiny", tmp_path / f"net.{kind}")(picture)
            for kind in ("safetensors", "pth")
        )
    assert torch.equal(ours, theirs)


def test_a_torch_file_that_would_run_code_is_refused(tmp_path):
    class Foreign:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"state_dict": Foreign()}, tmp_path / "net.pth")
    with pytest.raises(MissingWeightsError, match="UnpicklingError"):
        read_state(tmp_path / "net.pth")


def test_weights_of_another_size_are_refused_by_name(tmp_path):
    from safetensors.torch import save_file

    save_file(published_state("pidinet-small"), tmp_path / "net.safetensors")
    plugin = Sketch(edges="pidinet-tiny", weights_file=str(tmp_path / "net.safetensors"))
    with pytest.raises(MissingWeightsError, match=r"'pidinet-tiny'.*Next: give the file"):
        plugin.build_extractor()


@pytest.mark.parametrize("extra", [False, True])
def test_foreign_weights_are_refused_in_one_short_line(tmp_path, extra):
    """Whether tensors are lacking, or there are too many."""
    from safetensors.torch import save_file

    state = dict(published_state("pidinet-tiny")) if extra else {}
    save_file(
        state | {f"foreign.{i}": torch.zeros(1) for i in range(60)}, tmp_path / "net.safetensors"
    )
    with pytest.raises(MissingWeightsError) as error:
        build_detector("pidinet-tiny", tmp_path / "net.safetensors")
    told = str(error.value)
    assert "\n" not in told
    assert len(told) < 500 + len(str(tmp_path))
    assert "foreign.0, foreign.1, foreign.10 and 57 more)" in told
    assert "Next: give the file of 'pidinet-tiny'" in told


def test_absent_weights_are_named_with_place_and_command(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=r"table5_pidinet\.pth.*plugins fetch sketch"):
        Sketch(edges="pidinet").build_extractor()


def test_canny_needs_no_weights_and_every_learned_detector_one_file():
    assert Sketch().weights_in_use() == ()
    for edges, spec in WEIGHTS.items():
        assert Sketch(edges=edges).weights_in_use() == (spec,)
        assert Sketch(edges=edges, weights_file="mine.pth").weights_in_use() == ()


def test_an_unknown_detector_is_refused():
    plugin = Sketch()
    plugin.edges = "sobel"
    with pytest.raises(ConfigError, match="sobel"):
        plugin.build_extractor()


@pytest.mark.parametrize(("name", "number"), [("canvas", 0), ("canvas", -5), ("min_length", -1)])
def test_a_number_out_of_range_is_named(name, number):
    with pytest.raises(ConfigError, match=rf"`{name}` must be .* found {number}\. Next:"):
        Sketch(**{name: number}).build_extractor()


def test_a_reader_that_fails_without_a_word_is_reported_too(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(MissingWeightsError, match=r"net\.pth, found RuntimeError: no reason"):
        read_state(tmp_path / "net.pth")


@pytest.mark.slow
def test_dexined_loads_its_published_form_and_answers_at_input_size(tmp_path):
    from kornia.models.dexined import DexiNed

    torch.manual_seed(0)
    net = DexiNed(pretrained=False).eval()
    torch.save(net.state_dict(), tmp_path / "dexined.pth")
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    mean = torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    with torch.inference_mode():
        ours = build_detector("dexined", tmp_path / "dexined.pth")(picture)
        expected = net((picture[:, [2, 1, 0]] * 0.5 + 0.5) * 255 - mean).sigmoid()
        odd = build_detector("dexined", tmp_path / "dexined.pth")(picture[..., :51, :33])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert odd.shape == (1, 1, 51, 33)


# -- simplification --------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 135])
def test_a_broad_ridge_becomes_one_stroke_on_its_crest(angle):
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    normal = torch.tensor(angle * torch.pi / 180)
    offset = (x - 23.3) * torch.cos(normal) + (y - 23.3) * torch.sin(normal)
    crests = thin(torch.exp(-0.5 * (offset / 2.5) ** 2)[None, None])
    inner = (crests[0, 0, 4:-4, 4:-4] > 0.3, offset[4:-4, 4:-4])
    assert inner[1][inner[0]].abs().max() < 1.0
    assert 36 <= int(inner[0].sum()) <= 80  # one or two pixels for each step along a 40-60 px line


def test_weak_strokes_stay_only_where_they_join_a_strong_one():
    crests = torch.zeros(1, 1, 32, 32)
    crests[..., 8, 4:28] = 0.3
    crests[..., 8, 10] = 0.9
    crests[..., 20, 4:28] = 0.3
    chosen = select(crests, low=0.2, high=0.5, min_length=3)
    assert chosen[0, 0, 8, 4:28].all()
    assert not chosen[0, 0, 20].any()


def test_specks_are_removed_and_pictures_of_a_batch_do_not_join():
    crests = torch.zeros(2, 1, 32, 32)
    crests[0, 0, 10, 10:14] = 1
    crests[1, 0, 10, 13:17] = 1
    assert not select(crests, low=0.2, high=0.5, min_length=6).any()
    assert select(crests, low=0.2, high=0.5, min_length=4).sum() == 8


def test_a_stroke_is_one_in_the_middle_and_survives_halving():
    stroke = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    stroke[..., 15] = True
    drawn = draw(stroke)
    assert drawn[..., 15].eq(1).all()
    assert drawn[..., 18:].eq(0).all()
    halved = torch.nn.functional.avg_pool2d(drawn, 2)
    assert halved.amax() >= 0.5


def test_the_sketch_of_a_square_is_its_outline_in_either_contrast():
    extract = Sketch(canvas=64).build_extractor()
    strokes, inverse = extract(square()), extract(-square())
    on = (strokes[0, 0] > 0.5).nonzero()
    assert len(on) > 90
    to_side = (on - 31.5).abs().max(1).values
    assert (to_side - 15.5).abs().max() <= 1.5
    assert strokes.amax() == 1
    assert Sketch().distance(strokes, inverse).item() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (1, 50), (64, 64), (65, 97)])
def test_an_even_picture_of_any_size_has_no_strokes(size):
    extract = Sketch().build_extractor()
    for colour in ((-1, -1, -1), (1, 1, 1), (0.3, -0.7, 0.9)):
        picture = torch.tensor(colour)[:, None, None].expand(2, -1, *size)
        strokes = extract(picture)
        assert strokes.shape == (2, 1, *size)
        assert not strokes.any()


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 50), (33, 41)])
def test_pidinet_takes_pictures_of_any_size(tmp_path, size):
    from safetensors.torch import save_file

    save_file(published_state("pidinet-tiny"), tmp_path / "net.safetensors")
    detect = build_detector("pidinet-tiny", tmp_path / "net.safetensors")
    pictures = torch.rand(2, 3, *size) * 2 - 1
    with torch.inference_mode():
        edges = detect(pictures)
        alone = detect(pictures[1:])
    assert edges.shape == (2, 1, *size)
    assert edges.isfinite().all()
    assert torch.equal(edges[1:], alone)


def test_values_do_not_depend_on_the_batch():
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    extract = Sketch(min_length=4).build_extractor()
    assert torch.equal(extract(pictures)[1:2], extract(pictures[1:2]))


# -- distance, reading, showing --------------------------------------------------------------------


def test_distance_is_zero_when_equal_one_when_apart_and_forgives_a_pixel():
    plugin = Sketch()
    value = torch.zeros(1, 1, 64, 64)
    value[..., 20] = 1
    empty = torch.zeros_like(value)
    assert plugin.distance(value, value) == 0
    assert plugin.distance(empty, empty) == 0
    assert plugin.distance(value, empty) == 1
    assert plugin.distance(value, value.roll(1, -1)) == 0
    assert plugin.distance(value, value.roll(5, -1)) == 1
    half = value.clone()
    half[..., 32:, :] = 0
    assert plugin.distance(value, half).item() == pytest.approx(1 / 3, abs=0.02)  # P 1, R 0.5
    assert plugin.distance(value * 0.4, value) == 0  # fainter ink is the same stroke


def drawing(path, size, paper, ink, mode="L"):
    picture = Image.new(mode, size, paper)
    ImageDraw.Draw(picture).rectangle([20, 20, 60, 50], outline=ink)
    picture.save(path)
    return path


def test_black_on_white_and_white_on_black_read_alike(tmp_path):
    ours = Sketch().read(drawing(tmp_path / "a.png", (100, 80), 250, 30))
    theirs = Sketch().read(drawing(tmp_path / "b.png", (100, 80), 0, 200))
    assert ours.shape == (1, 80, 100)
    assert torch.equal(ours, theirs)
    assert ours[0, 20, 40] == 1
    assert ours[0, 0, 0] == 0


def test_ink_on_transparent_paper_reads_as_strokes(tmp_path):
    path = drawing(tmp_path / "a.png", (100, 80), (0, 0, 0, 0), (0, 0, 0, 255), "RGBA")
    assert Sketch().read(path)[0, 20, 40] == 1


def test_white_ink_on_transparent_paper_reads_as_strokes(tmp_path):
    path = drawing(tmp_path / "a.png", (100, 80), (0, 0, 0, 0), (255, 255, 255, 255), "RGBA")
    dark = drawing(tmp_path / "b.png", (100, 80), (0, 0, 0, 0), (0, 0, 0, 255), "RGBA")
    assert torch.equal(Sketch().read(path), Sketch().read(dark))


@pytest.mark.parametrize("shade", ["ramp", "shadow"])
@pytest.mark.parametrize("polarity", ["dark strokes", "light strokes"])
def test_paper_that_was_photographed_in_uneven_light_is_evened_out(tmp_path, shade, polarity):
    even = np.asarray(Image.open(drawing(tmp_path / "a.png", (200, 160), 230, 40))) / 255
    across = (
        np.linspace(0.4, 1, 200)[None] if shade == "ramp" else (np.arange(200) < 90) * 0.4 + 0.6
    )
    uneven = even * across
    uneven = uneven if polarity == "dark strokes" else 1 - uneven
    Image.fromarray((uneven * 255).astype(np.uint8)).save(tmp_path / "b.png")
    wanted = Sketch().read(tmp_path / "a.png")[0] > 0.5
    found = Sketch().read(tmp_path / "b.png")[0]
    assert found[wanted].min() > 0.3
    assert (found[~wanted] > 0.3).float().mean() < 0.02


def test_thin_strokes_of_a_large_drawing_survive(tmp_path):
    value = Sketch(canvas=64).read(drawing(tmp_path / "a.png", (640, 512), 255, 0))
    assert value.shape == (1, 64, 80)
    assert value.amax() == 1


def test_floating_point_drawings_read_from_zero_to_one_and_no_further(tmp_path):
    levels = np.ones((20, 30), np.float32)
    levels[10, 5:25] = 0
    Image.fromarray(levels).save(tmp_path / "a.tiff")
    assert Sketch().read(tmp_path / "a.tiff")[0, 10, 10] == 1
    Image.fromarray(levels * 200).save(tmp_path / "b.tiff")
    with pytest.raises(UserInputError, match=r"floating point levels"):
        Sketch().read(tmp_path / "b.tiff")


@pytest.mark.parametrize("found", ["even", "noise", "photo", "text", "missing"])
def test_what_is_no_drawing_is_refused(tmp_path, found):
    path = tmp_path / "a.png"
    if found == "even":
        Image.new("L", (40, 40), 255).save(path)
    elif found == "noise":
        levels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(levels).save(path)
    elif found == "photo":  # light, things and texture
        y, x = np.mgrid[:120, :120] / 120
        levels = 0.3 + 0.5 * y + 0.2 * ((x - 0.5) ** 2 + (y - 0.6) ** 2 < 0.06)
        levels += 0.05 * np.sin(90 * x) + np.random.default_rng(0).normal(0, 0.04, x.shape)
        Image.fromarray((levels.clip(0, 1) * 255).astype(np.uint8)).save(path)
    elif found == "text":
        path.write_text("no picture")
    with pytest.raises(UserInputError, match=r"Reading .*a\.png.* as a sketch.*Next:"):
        Sketch().read(path)


def test_people_see_black_strokes_on_white_paper():
    value = torch.zeros(1, 1, 8, 8)
    value[..., 4] = 1
    shown = Sketch().visualize(value)
    assert shown.shape == (1, 3, 8, 8)
    assert shown[..., 4].eq(0).all()
    assert shown[..., 0].eq(1).all()


# -- real photos -----------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    "size", ["pidinet-tiny", "pidinet-small", pytest.param("pidinet", marks=pytest.mark.slow)]
)
def test_pidinet_agrees_with_its_authors_code_within_one_grey_level(data, size):
    folder = data / "edge_reference" / "coco"
    references = json.loads((folder / "reference.json").read_text())
    weights = data / "weights" / "pidinet" / f"table5_{size}.safetensors"
    detect = build_detector(size, weights)
    compared = 0
    for name, reference in references.items():
        if reference["weights"] != f"table5_{size}":
            continue
        with torch.inference_mode():
            edges = detect(picture_of(data / reference["image"]))[0, 0]
        apart = (edges * 255).round().numpy() - np.asarray(Image.open(folder / name), np.float64)
        assert np.abs(apart).max() <= 1, name
        assert (apart != 0).mean() < 1e-3, name
        compared += 1
    assert compared == 6


@pytest.mark.data
def test_pidinet_draws_nothing_in_an_even_picture(data):
    weights = data / "weights" / "pidinet" / "table5_pidinet-tiny.safetensors"
    extract = Sketch(edges="pidinet-tiny", weights_file=str(weights)).build_extractor()
    for level in (-1.0, 0.0, 1.0):
        assert not extract(torch.full((1, 3, 65, 97), level)).any()


@pytest.mark.data
def test_the_published_torch_file_has_the_listed_digest_and_loads(data):
    folder = data / "weights" / "pidinet"
    spec = WEIGHTS["pidinet-tiny"]
    from composer_pl.plugin import resolve_weights

    path = resolve_weights(spec, condition="sketch", path=folder / spec.name)
    assert path.stat().st_size == spec.size
    build_detector("pidinet-tiny", path)


@pytest.mark.data
def test_sketches_of_unrelated_photos_are_far_apart(data):
    files = sorted((data / "clothing").glob("train/*/*.jpg"))[::600][:4]
    pictures = torch.cat([picture_of(file, 128) for file in files])
    plugin = Sketch(canvas=128)
    value = plugin.build_extractor()(pictures)
    assert plugin.distance(value, value).max() == 0
    assert plugin.distance(value, value.roll(1, 0)).mean() > 0.5
