"""Facts of the condition `depth`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

from composer_pl.errors import ConfigError, MissingWeightsError, RepresentationError, UserInputError
from composer_pl.plugin.testing import PluginContract
from composer_pl_depth import Depth
from composer_pl_depth.estimators import DepthEstimator, architecture_config, normalise
from composer_pl_depth.weights import WEIGHTS


@pytest.fixture(scope="module", autouse=True)
def offline():
    """Nothing may ask the hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


def save_random(config, network_class, folder: Path) -> Path:
    """Write a random network as transformers does, config.json and model.safetensors."""
    torch.manual_seed(0)
    network = network_class(config)
    with torch.no_grad():  # so that the last ReLU does not answer zero everywhere
        for name, parameter in network.named_parameters():
            if name in ("head.conv3.bias", "head.head.4.bias"):
                parameter += 1
            elif parameter.ndim > 1:
                parameter.normal_(0, 0.1)
    network.save_pretrained(folder)
    return folder


def small_config(**changes):
    from transformers import DepthAnythingConfig, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    return DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=24,
        neck_hidden_sizes=[4, 8, 16, 24],
        fusion_hidden_size=8,
        head_hidden_size=4,
        **changes,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    from transformers import DepthAnythingForDepthEstimation

    folder = tmp_path_factory.mktemp("small")
    return save_random(small_config(), DepthAnythingForDepthEstimation, folder)


@pytest.fixture(scope="module")
def small_dpt(tmp_path_factory) -> Path:
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[4, 8, 16, 32],
        fusion_hidden_size=8,
    )
    return save_random(config, DPTForDepthEstimation, tmp_path_factory.mktemp("dpt"))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The published architecture and file format with random weights."""
    import transformers

    config = architecture_config(transformers, "depth-anything-v2-small")
    folder = tmp_path_factory.mktemp("published")
    return save_random(config, transformers.DepthAnythingForDepthEstimation, folder)


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self, small):
        return Depth(weights_file=str(small), canvas=56)


# -- loading ---------------------------------------------------------------------------------------


def test_a_file_of_the_published_form_has_the_published_size_and_key_names(published):
    file = published / "model.safetensors"
    assert file.stat().st_size == WEIGHTS["depth-anything-v2-small"].size
    state = load_file(file)
    assert sum(weight.numel() for weight in state.values()) == 24_785_089
    assert "backbone.encoder.layer.0.attention.attention.query.weight" in state


def test_a_file_gives_what_transformers_gives_when_it_loads_the_folder_itself(published):
    from transformers import AutoModelForDepthEstimation

    plugin = Depth(weights_file=str(published / "model.safetensors"), canvas=126)
    picture = torch.rand(1, 3, 126, 98, generator=torch.Generator().manual_seed(1)) * 2 - 1
    theirs = AutoModelForDepthEstimation.from_pretrained(published, local_files_only=True).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        raw = theirs(pixel_values=(picture * 0.5 + 0.5 - mean) / std).predicted_depth
    ours = plugin.build_extractor()(picture)
    assert ours.shape == (1, 1, 126, 98)
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, normalise(raw[:, None]), rtol=0, atol=1e-6)


def test_dpt_large_has_the_published_architecture():
    import transformers

    config = architecture_config(transformers, "dpt-large")
    with torch.device("meta"):
        network = transformers.DPTForDepthEstimation(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == 343_030_465


def test_dpt_loads_from_its_folder_and_gets_square_pictures_in_its_own_range(small_dpt):
    from transformers import DPTForDepthEstimation

    extract = Depth(model="dpt-large", weights_file=str(small_dpt)).build_extractor()
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    theirs = DPTForDepthEstimation.from_pretrained(small_dpt, local_files_only=True).eval()
    with torch.no_grad():
        expected = normalise(theirs(pixel_values=picture).predicted_depth[:, None])
    torch.testing.assert_close(extract(picture), expected, rtol=0, atol=1e-5)
    assert extract(picture[..., :40]).shape == (1, 1, 64, 64)


def test_weights_lacking_only_the_layer_that_never_runs_are_accepted(small_dpt, tmp_path):
    state = load_file(small_dpt / "model.safetensors")
    prefix = "neck.fusion_stage.layers.0.residual_layer1."
    kept = {name: weight for name, weight in state.items() if not name.startswith(prefix)}
    assert len(kept) < len(state)
    (tmp_path / "config.json").write_text((small_dpt / "config.json").read_text())
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    ours, theirs = (
        Depth(model="dpt-large", weights_file=str(folder)).build_extractor()(picture)
        for folder in (tmp_path, small_dpt)
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("fault", ["lacking", "other", "text", "empty folder"])
def test_other_weights_are_refused_by_name(small, tmp_path, fault):
    place = tmp_path / "net.safetensors"
    if fault == "lacking":
        state = load_file(small / "model.safetensors")
        del state["head.conv1.weight"]
        place = tmp_path
        (tmp_path / "config.json").write_text((small / "config.json").read_text())
        save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    elif fault == "other":
        save_file({"weight": torch.zeros(3)}, place)
    elif fault == "text":
        place.write_text("no weights")
    else:
        place = tmp_path
    with pytest.raises(MissingWeightsError, match=r"depth-anything-v2-small.*Next: give the"):
        Depth(weights_file=str(place)).build_extractor()


def test_a_metric_model_is_refused_because_its_near_is_small(small, tmp_path):
    config = json.loads((small / "config.json").read_text())
    config["depth_estimation_type"] = "metric"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((small / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="metric"):
        Depth(weights_file=str(tmp_path)).build_extractor()


PUBLISHED = [name for name, spec in WEIGHTS.items() if not spec.packaged]


@pytest.mark.parametrize("model", PUBLISHED)
def test_absent_weights_are_named_with_place_and_command(tmp_path, monkeypatch, model):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=rf"{model}\.safetensors.*plugins fetch depth"):
        Depth(model=model).build_extractor()


def test_every_published_file_has_an_address_that_cannot_change_and_a_digest():
    for name in PUBLISHED:
        spec = WEIGHTS[name]
        assert "/resolve/main/" not in spec.url
        assert spec.url.endswith("/model.safetensors")
        assert len(spec.sha256) == 64


def test_a_canvas_that_is_no_size_is_named(small):
    with pytest.raises(ConfigError, match=r"`canvas` must be .* found -1\. Next:"):
        Depth(weights_file=str(small), canvas=-1).build_extractor()


def test_loading_leaves_the_settings_of_transformers_as_they_were(small):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    Depth(weights_file=str(small)).build_extractor()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


# -- extraction ------------------------------------------------------------------------------------


class Answer(torch.nn.Module):
    """A stand-in for a network: answers with the mean of what it sees."""

    def forward(self, pixel_values):
        self.seen = pixel_values
        return type("Output", (), {"predicted_depth": pixel_values.mean(1)})()


@pytest.mark.parametrize(("side", "fed"), [(56, 56), (60, 56), (64, 70), (5, 14)])
def test_pictures_are_fed_at_multiples_of_the_patch(side, fed):
    network = Answer()
    DepthEstimator("depth-anything-v2-small", network)(torch.rand(1, 3, side, side))
    assert network.seen.shape == (1, 3, fed, fed)


@pytest.mark.parametrize("size", [(1, 1), (57, 83), (1, 50)])
@pytest.mark.parametrize("level", [-1.0, 1.0, None])
def test_any_picture_at_any_size_gives_depth_in_range(small, size, level):
    extract = Depth(weights_file=str(small)).build_extractor()
    pictures = (
        torch.rand(3, 3, *size) * 2 - 1 if level is None else torch.full((3, 3, *size), level)
    )
    value = extract(pictures)
    assert value.isfinite().all()
    assert value.min() >= 0
    assert value.max() <= 1
    torch.testing.assert_close(extract(pictures[1:2]), value[1:2], rtol=0, atol=1e-2)


def test_near_is_one_and_the_range_is_each_pictures_own():
    ramp = torch.linspace(3, 11, 10_000).view(1, 1, 100, 100)
    value = normalise(torch.cat([ramp, 40 * ramp, ramp.flip(-1, -2)]))
    assert value.aminmax() == (0, 1)
    assert value[0, 0, -1, -1] == 1
    torch.testing.assert_close(value[0], value[1])
    assert value[2, 0, 0, 0] == 1
    assert 0.009 < value[0].eq(1).float().mean() < 0.011  # a hundredth saturates


def test_outliers_do_not_set_the_range():
    depth = torch.rand(1, 1, 64, 64)
    spoilt = depth.clone()
    spoilt[..., 0, :4] = 1e6
    assert (normalise(spoilt) - normalise(depth)).abs()[..., 1:, :].max() < 0.02


@pytest.mark.parametrize("level", [0.0, 7.0])
def test_a_picture_without_depth_is_zero_and_not_stretched_noise(level):
    noise = 1e-6 * torch.rand(1, 1, 16, 16)
    assert not normalise(level * (1 + noise)).any()


def test_undefined_depth_is_refused():
    extract = DepthEstimator("depth-anything-v2-small", Answer())
    with pytest.raises(RepresentationError, match="finite"):
        extract(torch.full((1, 3, 14, 14), float("nan")))


# -- distance --------------------------------------------------------------------------------------


def test_distance_equals_the_error_after_least_squares_alignment():
    generator = torch.Generator().manual_seed(0)
    value = torch.rand(1, 1, 12, 12, generator=generator)
    other = 0.5 * value + 0.3 * torch.rand(1, 1, 12, 12, generator=generator)
    design = np.stack([other.flatten().numpy(), np.ones(144)], 1).astype(np.float64)
    target = value.flatten().numpy().astype(np.float64)
    fit, *_ = np.linalg.lstsq(design, target, rcond=None)
    expected = np.sqrt(np.mean((design @ fit - target) ** 2)) / target.std()
    assert Depth().distance(value, other).item() == pytest.approx(expected, abs=1e-6)


def test_distance_ignores_scale_and_shift_but_not_reversal():
    value = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    plugin = Depth()
    assert plugin.distance(value, value).max() < 1e-5
    assert plugin.distance(value, 0.3 * value + 0.2).max() < 1e-3
    assert plugin.distance(value, 1 - value).eq(1).all()
    assert plugin.distance(value, value.flip(-1)).min() > 0.9
    flat = torch.full_like(value, 0.4)
    assert plugin.distance(value, flat).eq(1).all()
    assert plugin.distance(flat, flat + 0.1).eq(0).all()


# -- reading ---------------------------------------------------------------------------------------


def ramp(dtype, top) -> np.ndarray:
    return np.linspace(0, top, 48).reshape(6, 8).astype(dtype)


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("a.png", ramp(np.uint8, 235)),
        ("a.png", ramp(np.uint16, 60_000)),
        ("a.tiff", ramp(np.float32, 12.5)),
        ("a.png", np.repeat(ramp(np.uint8, 235)[..., None], 3, -1)),
    ],
    ids=["8 bit", "16 bit", "float", "grey RGB"],
)
def test_any_depth_of_bits_reads_as_zero_to_one(tmp_path, name, levels):
    Image.fromarray(levels).save(tmp_path / name)
    value = Depth().read(tmp_path / name)
    assert value.shape == (1, 6, 8)
    expected = torch.linspace(0, 1, 48).view(1, 6, 8)
    torch.testing.assert_close(value, expected, rtol=0, atol=0.005)


def test_the_polarity_can_be_stated(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(ramp(np.uint16, 60_000)).save(path)
    white, black = Depth().read(f"{path}?near=white"), Depth().read(f"{path}?near=black")
    assert torch.equal(white, Depth().read(path))
    torch.testing.assert_close(black, 1 - white)
    with pytest.raises(UserInputError, match="grey"):
        Depth().read(f"{path}?near=grey")


@pytest.mark.parametrize("near", ["white", "black"])
def test_a_renderers_empty_sky_is_the_farthest(tmp_path, near):
    levels = ramp(np.float32, 12.5)
    levels[0, 0] = np.inf
    Image.fromarray(levels).save(tmp_path / "a.tiff")
    value = Depth().read(f"{tmp_path / 'a.tiff'}?near={near}")
    assert value.isfinite().all()
    assert value[0, 0, 0] == 0


def distances() -> np.ndarray:
    """A floor that comes nearer downwards under a far wall; in metres."""
    rows = np.linspace(20, 2, 24)[:, None].repeat(30, 1).astype(np.float32)
    rows[:8] = 40
    return rows


def save(path, levels) -> str:
    Image.fromarray(levels).save(path)
    return str(path)


def test_a_reversed_map_is_known_by_its_dark_lower_part(tmp_path):
    near = (255 / distances() * 2).astype(np.uint8)
    right = Depth().read(save(tmp_path / "right.png", near))
    path = save(tmp_path / "reversed.png", 255 - near)
    with pytest.warns(UserWarning, match=r"black is near. Next: add \?near=white"):
        assert torch.allclose(Depth().read(path), right, atol=1e-6)
    assert torch.allclose(Depth().read(f"{path}?near=white"), 1 - right, atol=1e-6)
    assert torch.allclose(Depth().read(f"{path}?near=black"), right, atol=1e-6)


def test_distances_become_inverse_depth(tmp_path):
    path = save(tmp_path / "metres.tiff", distances())
    inverse = torch.from_numpy(1 / distances())[None]
    expected = (inverse - 1 / 40) / (1 / 2 - 1 / 40)
    stated = Depth().read(f"{path}?near=metric")
    torch.testing.assert_close(stated, expected, rtol=0, atol=1e-6)
    with pytest.warns(UserWarning, match="distances"):
        assert torch.equal(Depth().read(path), stated)


def test_a_sensors_millimetres_read_as_metres_do_and_holes_are_far(tmp_path):
    millimetres = (distances() * 1000).astype(np.uint16)
    millimetres[3, 4] = 0
    value = Depth().read(save(tmp_path / "mm.png", millimetres) + "?near=metric")
    assert value[0, 3, 4] == 0
    expected = torch.from_numpy(2 / distances())[None] * (value > 0)
    torch.testing.assert_close(value, expected, rtol=0, atol=0.002)


def test_a_far_plane_of_a_renderer_is_the_farthest(tmp_path):
    levels = distances()
    levels[:4] = 1e10
    with pytest.warns(UserWarning, match="distances"):
        value = Depth().read(save(tmp_path / "a.tiff", levels))
    assert value[0, :4].eq(0).all()
    assert value[0, 4:].min() > 0.04


def test_one_wild_pixel_does_not_flatten_a_map(tmp_path):
    levels = np.linspace(0, 1000, 4096).reshape(64, 64).astype(np.uint16)
    plain = Depth().read(save(tmp_path / "a.png", levels))
    levels[0, 0] = 65535
    wild = Depth().read(save(tmp_path / "b.png", levels))
    torch.testing.assert_close(wild.flatten()[1:], plain.flatten()[1:], rtol=0, atol=0.01)


def test_a_map_that_is_even_from_top_to_bottom_keeps_its_polarity(tmp_path):
    levels = np.linspace(0, 255, 30)[None].repeat(20, 0).astype(np.uint8)
    value = Depth().read(save(tmp_path / "a.png", levels))
    assert value[0, 0, 0] == 0
    assert value[0, 0, -1] == 1


@pytest.mark.parametrize("found", ["colours", "one level", "missing"])
def test_what_is_no_depth_map_is_refused(tmp_path, found):
    path = tmp_path / "a.png"
    if found == "colours":
        Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
    elif found == "one level":
        Image.new("L", (8, 8), 9).save(path)
    with pytest.raises(UserInputError, match=r"Reading .*a\.png.* as a depth map.*Next:"):
        Depth().read(path)


def test_a_read_map_agrees_with_its_halved_self(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(ramp(np.uint16, 60_000)).save(path)
    value = Depth().read(path)[None]
    again = interpolate(interpolate(value, scale_factor=0.5, mode="area"), size=value.shape[-2:])
    assert Depth().distance(value, again).item() < 0.3
