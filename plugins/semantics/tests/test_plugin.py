import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from composer_pl.plugin import (
    BackboneDims,
    ConfigError,
    MissingWeightsError,
    RepresentationError,
    UserInputError,
)
from composer_pl.plugin.testing import PluginContract
from composer_pl_semantics import Semantics
from composer_pl_semantics.clip import normalise
from composer_pl_semantics.clip_models import MODELS, architecture

DIMS = BackboneDims(time_dim=32, context_dim=16, hint_channels=8, hint_scale=2)
TINY = {
    "embed_dim": 48,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 28, "layers": 2, "width": 64, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="module")
def clip():
    """open_clip's own tiny CLIP with random weights."""
    open_clip = pytest.importorskip("open_clip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**TINY).eval()
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def folder(clip, tmp_path_factory):
    place = tmp_path_factory.mktemp("clip")
    tensors = {name: tensor.contiguous() for name, tensor in clip.state_dict().items()}
    save_file(tensors, place / "open_clip_model.safetensors")
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    return str(place)


def pictures(height=28, width=28):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((3, 3, height, width), generator=generator) * 2 - 1


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self, folder):
        return Semantics(weights_file=folder)


def test_value_is_open_clips_embedding_of_length_root_width(clip, folder):
    open_clip = pytest.importorskip("open_clip")
    value = Semantics(weights_file=folder).build_extractor()(pictures())
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    mean, std = (torch.tensor(channels)[:, None, None] for channels in (mean, std))
    with torch.no_grad():
        expected = clip.encode_image(((pictures() + 1) / 2 - mean) / std, normalize=True)
    assert torch.allclose(value / 48**0.5, expected, atol=1e-6)
    assert torch.allclose(value.norm(dim=1), torch.full((3,), 48**0.5))
    assert torch.allclose(value.square().mean(1), torch.ones(3))  # unit variance a channel


def test_preparation_equals_open_clips_for_any_size(clip, folder):
    open_clip = pytest.importorskip("open_clip")
    from PIL import Image

    prepare = open_clip.image_transform(28, is_train=False)
    smooth = torch.nn.functional.interpolate(pictures(5, 7), size=(60, 84), mode="bicubic")
    levels = (smooth.clamp(-1, 1) * 127.5 + 127.5).round()
    array = levels[0].permute(1, 2, 0).byte().numpy()
    extract = Semantics(weights_file=folder).build_extractor()
    value = extract(levels[:1] / 127.5 - 1)
    with torch.no_grad():
        expected = clip.encode_image(prepare(Image.fromarray(array))[None])
    assert torch.nn.functional.cosine_similarity(value, expected).item() > 0.9995


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (29, 57), (1, 50)])
@pytest.mark.parametrize("level", [-1.0, 1.0, None])
def test_any_picture_at_any_size_has_an_embedding_of_the_stated_length(folder, size, level):
    plugin = Semantics(weights_file=folder)
    extract = plugin.build_extractor()
    image = pictures(*size) if level is None else torch.full((3, 3, *size), level)
    value = extract(image)
    torch.testing.assert_close(value.norm(dim=1), torch.full((3,), 48**0.5))
    torch.testing.assert_close(extract(image[1:2]), value[1:2], rtol=0, atol=1e-4)
    assert plugin.visualize(value).isfinite().all()


def test_mean_and_std_come_from_the_configuration_where_it_has_them(folder, tmp_path):
    config = {"model_cfg": TINY, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert architecture("ViT-L-14", str(tmp_path)).mean == (0.5, 0.5, 0.5)
    source = Path(folder) / "open_clip_model.safetensors"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    first, second = (
        Semantics(weights_file=str(place)).build_extractor()(pictures())
        for place in (folder, tmp_path)
    )
    assert (first - second).abs().max() > 1e-3


def test_autocast_does_not_change_values(folder):
    extract = Semantics(weights_file=folder).build_extractor()
    plain = extract(pictures())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extract(pictures()), plain)


def test_extractor_is_frozen_and_holds_no_text_tower(folder):
    extract = Semantics(weights_file=folder).build_extractor()
    assert not any(parameter.requires_grad for parameter in extract.parameters())
    assert all(name.startswith("visual.") for name, _ in extract.named_parameters())


def test_encoder_refuses_embeddings_of_another_length(folder):
    plugin = Semantics(weights_file=folder)
    encoder = plugin.build_encoder(DIMS)
    value = plugin.build_extractor()(pictures())
    keep = torch.ones(3, dtype=torch.bool)
    signals = encoder(value, keep)
    assert signals.context.shape == (3, 4, 16)
    with pytest.raises(RepresentationError, match=r"length 6\.93"):
        encoder(value / 48**0.5, keep)
    mixed = (value + value.roll(1, 0)) / 2
    with pytest.raises(RepresentationError):
        encoder(mixed, keep)
    encoder(normalise(mixed), keep)
    encoder(torch.zeros_like(value), ~keep)


def test_cache_in_half_precision_passes_the_border(folder):
    plugin = Semantics(weights_file=folder)
    value = plugin.build_extractor()(pictures()).half().float()
    plugin.build_encoder(DIMS)(value, torch.ones(3, dtype=torch.bool))


def test_distance_is_one_minus_cosine():
    plugin = Semantics()
    a, b = torch.eye(768)[:2, None]
    assert plugin.distance(a, a).item() == pytest.approx(0, abs=1e-6)
    assert plugin.distance(a, b).item() == pytest.approx(1)
    assert plugin.distance(a, -3 * a).item() == pytest.approx(2)


def test_canvas_and_shape_are_known_without_weights():
    assert (Semantics().canvas, Semantics(model="ViT-L-14-336").canvas) == (224, 336)
    assert Semantics().spec.shape == (768,)


def test_missing_weights_name_the_file_and_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="plugins fetch semantics") as caught:
        Semantics(model="ViT-L-14-336").build_extractor()
    assert "934 MB" in str(caught.value)
    with pytest.raises(ConfigError, match="ViT-L-14"):
        Semantics(model="ViT-B-32")
    with pytest.raises(ConfigError, match="tokens"):
        Semantics(tokens=-1)


def test_embeddings_cannot_be_written_by_hand():
    with pytest.raises(UserInputError, match="--from"):
        Semantics().read("a cat")


def test_agreement_equals_the_captions(folder):
    if find_spec("composer_pl_caption") is None:
        pytest.skip("composer-pl-caption is not installed")
    from composer_pl_caption import Caption

    models = [{"model": name} for name in MODELS]
    for choice in ({}, *models, {"weights_file": folder}):
        assert Semantics(**choice).agreement() == Caption(**choice).agreement()
    assert Semantics().agreement() != Caption(model="ViT-L-14-336").agreement()


def test_caption_and_semantics_carry_the_same_clip_code():
    found = find_spec("composer_pl_caption")
    if found is None or found.origin is None:
        pytest.skip("composer-pl-caption is not installed")
    own = Path(find_spec("composer_pl_semantics").origin).parent
    for name in ("clip.py", "clip_models.py", "clip_tensors.py"):
        other = Path(found.origin).parent / name
        assert (own / name).read_text() == other.read_text(), name
