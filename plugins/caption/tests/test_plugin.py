import hashlib
import json
import logging
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from composer_pl.plugin import (
    BackboneDims,
    ConfigError,
    MissingWeightsError,
    RepresentationError,
)
from composer_pl.plugin.testing import PluginContract
from composer_pl_caption import Caption
from composer_pl_caption.clip import ImageTower, TextTower
from composer_pl_caption.clip_models import MODELS, WEIGHTS, architecture
from composer_pl_caption.clip_tensors import convert
from composer_pl_caption.tokens import clean

DIMS = BackboneDims(time_dim=32, context_dim=16, hint_channels=8, hint_scale=2)
TEXTS = ["a photo of a cat", "", "two dogs, one of them asleep"]

# A CLIP of OpenAI's layout as small as open_clip's own reader accepts: it takes heads of width 64.
TINY = {
    "embed_dim": 48,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 28, "layers": 2, "width": 64, "patch_size": 14},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 64,
        "heads": 1,
        "layers": 2,
    },
}


@pytest.fixture(scope="module")
def clip():
    """open_clip's own tiny CLIP with random weights."""
    open_clip = pytest.importorskip("open_clip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**TINY).eval()
        for parameter in model.parameters():  # biases too, so that none is forgotten unseen
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def write_folder(folder, model, config=TINY):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    return str(folder)


@pytest.fixture(scope="module")
def folder(clip, tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("clip"), clip)


@pytest.fixture(scope="module")
def extract(folder):
    return Caption(weights_file=folder).build_extractor()


def cosine(a, b):
    return torch.nn.functional.cosine_similarity(a, b)


def pictures(side=28):
    return torch.rand((3, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self, folder):
        return Caption(weights_file=folder)


# -- the value -------------------------------------------------------------------------------------


def test_sentence_is_open_clips_embedding_of_length_root_width(clip, extract):
    value = extract(TEXTS)
    tokens = pytest.importorskip("open_clip").tokenize(TEXTS)
    with torch.no_grad():
        expected = clip.encode_text(tokens, normalize=True)
    assert value.shape == (3, 78, 64)
    assert torch.allclose(value[:, 0, :48] / 48**0.5, expected, atol=1e-6)
    assert not value[:, 0, 48:].any()


def test_words_are_the_tokens_after_the_last_layernorm(clip, extract):
    tokens = pytest.importorskip("open_clip").tokenize(TEXTS)
    with torch.no_grad():
        words = clip.token_embedding(tokens) + clip.positional_embedding
        words = clip.ln_final(clip.transformer(words, attn_mask=clip.attn_mask))
    value = extract(TEXTS)
    for row, end in enumerate(tokens.argmax(1)):
        assert torch.allclose(value[row, 1 : end + 2], words[row, : end + 1], atol=1e-6)
        assert not value[row, end + 2 :].any()


def test_tokens_equal_open_clips():
    open_clip = pytest.importorskip("open_clip")
    texts = [*TEXTS, "Ünïcode & <b>tags</b> &amp; 中文 emoji 😀!", "word " * 200]
    from composer_pl_caption.tokens import Tokenizer

    tokens, cut = Tokenizer(77)(texts)
    assert torch.equal(tokens, open_clip.tokenize(texts))
    assert cut == 1


def test_over_long_captions_keep_the_end_token_and_are_counted(extract, caplog):
    before = extract.cut
    with caplog.at_level(logging.WARNING):
        value = extract(["a red house " * 40, "short", "blue sky " * 100])
    assert extract.cut == before + 2
    assert sum("longer than 75" in message for message in caplog.messages) <= 1
    assert value[0].any(1).all()  # all 77 tokens are words
    assert not torch.equal(value[0, 77], value[2, 77])
    tokens, _ = extract.tokenize(["a red house " * 40])
    assert tokens[0, -1] == extract.tokenize.end
    assert tokens[0].argmax() == 76


def test_empty_caption_is_legal_and_leaves_start_and_end(extract):
    value = extract(["", "   \n", None])
    assert (value != 0).any(2).sum(1).tolist() == [3, 3, 3]  # sentence, start, end
    assert torch.equal(value[0], value[1])
    assert torch.equal(value[0], value[2])


@pytest.mark.parametrize(
    "text",
    ["a\0b", "\ud800 lone surrogate", "x" * 100_000, "<end_of_text> cat", "\x1b[31m", "é" * 999],
)
def test_hostile_captions_are_embedded(extract, text):
    value = extract([text])
    assert value.isfinite().all()
    tokens, _ = extract.tokenize([text])
    assert (tokens == extract.tokenize.end).sum() == 1


def test_special_tokens_in_a_caption_do_not_end_it(extract):
    assert torch.equal(extract(["<end_of_text> cat"]), extract(["cat"]))
    assert torch.equal(extract(["&lt;END_OF_TEXT&gt; cat"]), extract(["cat"]))


def test_cleaning_caps_length_and_joins_lines():
    assert clean("a\n b\t\0c") == "a b c"
    assert len(clean("ab " * 100_000)) <= 2000
    assert clean(None) == ""


def test_autocast_does_not_change_values(extract):
    plain = extract(TEXTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extract(TEXTS), plain)


# -- files -----------------------------------------------------------------------------------------


def openai_archive(clip, path):
    """A TorchScript archive with the layout of OpenAI's: half precision, sizes as tensors."""

    class Archive(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            for name, child in model.named_children():
                setattr(self, name, child)
            self.positional_embedding = model.positional_embedding
            self.text_projection = model.text_projection
            self.logit_scale = model.logit_scale
            for name, number in (("input_resolution", 28), ("context_length", 77)):
                self.register_buffer(name, torch.tensor(number))
            self.register_buffer("vocab_size", torch.tensor(49408))

        def forward(self, tokens):
            return self.token_embedding(tokens)

    archive = Archive(clip)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # TorchScript's retirement
        torch.jit.save(torch.jit.trace(archive, torch.zeros((1, 77), dtype=torch.long)), path)
    return path


def test_openais_archive_is_converted_and_gives_open_clips_embeddings(clip, tmp_path):
    from copy import deepcopy

    open_clip = pytest.importorskip("open_clip")
    half = deepcopy(clip)
    open_clip.model.convert_weights_to_fp16(half)
    archive = openai_archive(half, tmp_path / "tiny.pt")
    target = tmp_path / "tiny.safetensors"
    convert(replace(WEIGHTS["ViT-L-14"], sha256="0" * 64), archive, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        expected = open_clip.openai.load_openai_model(str(archive), precision="fp32", device="cpu")
    stored = load_file(target)
    assert set(stored) == set(clip.state_dict())
    assert stored["visual.proj"].dtype == torch.float16

    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    sizes = architecture("ViT-L-14", str(target))
    tokens = open_clip.tokenize(TEXTS)
    with torch.no_grad():
        text = expected.encode_text(tokens, normalize=True)
        image = expected.encode_image(
            ((pictures() + 1) / 2 - torch.tensor(sizes.mean)[:, None, None])
            / torch.tensor(sizes.std)[:, None, None],
            normalize=True,
        )
    assert torch.allclose(TextTower(sizes, target)(tokens)[0] / 48**0.5, text, atol=1e-6)
    assert torch.allclose(ImageTower(sizes, target)(pictures()) / 48**0.5, image, atol=1e-6)


def test_archive_is_converted_once_into_the_cache_and_only_that_is_loaded(
    clip, tmp_path, monkeypatch
):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
    archive = openai_archive(clip, tmp_path / "ViT-L-14.pt")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    spec = replace(WEIGHTS["ViT-L-14"], sha256=digest, size=archive.stat().st_size)
    monkeypatch.setitem(WEIGHTS, "ViT-L-14", spec)
    sizes = replace(MODELS["ViT-L-14"], embed_dim=48, image_size=28, vision_width=64)
    sizes = replace(sizes, vision_layers=2, text_width=64, text_heads=1, text_layers=2)
    monkeypatch.setitem(MODELS, "ViT-L-14", sizes)

    value = Caption(weights_file=str(archive)).build_extractor()(TEXTS)
    assert (tmp_path / "cache" / spec.converted).is_file()
    archive.unlink()
    assert torch.equal(Caption().build_extractor()(TEXTS), value)
    with torch.no_grad():
        tokens = pytest.importorskip("open_clip").tokenize(TEXTS)
        expected = clip.encode_text(tokens, normalize=True)
    assert torch.allclose(value[:, 0, :48] / 48**0.5, expected, atol=1e-6)


def test_plain_state_dict_in_openais_names_is_converted_too(clip, tmp_path):
    torch.save(clip.state_dict(), tmp_path / "tiny.pt")
    convert(WEIGHTS["ViT-L-14"], tmp_path / "tiny.pt", tmp_path / "tiny.safetensors")
    stored = load_file(tmp_path / "tiny.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in clip.state_dict().items())


def test_converting_executes_no_pickled_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("exploded").mkdir, ())

    torch.save({"weight": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(pickle.UnpicklingError):
        convert(WEIGHTS["ViT-L-14"], tmp_path / "bomb.pt", tmp_path / "bomb.safetensors")
    assert not (tmp_path / "exploded").exists()


def test_transformers_layout_gives_the_same_embeddings(tmp_path):
    transformers = pytest.importorskip("transformers")
    open_clip = pytest.importorskip("open_clip")
    text = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "hidden_act": "quick_gelu",
        "eos_token_id": 49407,
    }
    vision = {**text, "image_size": 28, "patch_size": 14}
    del vision["eos_token_id"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.CLIPConfig(
            text_config={**text, "vocab_size": 49408}, vision_config=vision, projection_dim=48
        )
        model = transformers.CLIPModel(config).eval()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    plugin = Caption(weights_file=str(tmp_path / "model.safetensors"))
    extract = plugin.build_extractor()
    tokens = open_clip.tokenize(TEXTS)
    with torch.no_grad():
        hidden = model.text_model(input_ids=tokens).pooler_output
        sentence = model.text_projection(hidden)
        mean, std = (
            torch.tensor(getattr(architecture("ViT-L-14", str(tmp_path)), name))[:, None, None]
            for name in ("mean", "std")
        )
        pooled = model.vision_model(pixel_values=((pictures() + 1) / 2 - mean) / std).pooler_output
        image = model.visual_projection(pooled)
    assert (cosine(extract(TEXTS)[:, 0, :48], sentence) > 1 - 1e-5).all()
    assert (cosine(extract.image_embedding(pictures()), image) > 1 - 1e-5).all()


def test_activation_is_taken_from_the_configuration(clip, tmp_path):
    quick = write_folder(tmp_path / "quick", clip)
    plain = write_folder(tmp_path / "plain", clip, {**TINY, "quick_gelu": False})
    first, second = (Caption(weights_file=place).build_extractor() for place in (quick, plain))
    assert (first(TEXTS) - second(TEXTS)).abs().max() > 1e-3
    assert {name for name in WEIGHTS if not MODELS[name].quick_gelu} == {"tiny-scenes"}


def test_named_models_equal_open_clips_own_table():
    open_clip = pytest.importorskip("open_clip")
    for name, sizes in MODELS.items():
        if WEIGHTS[name].packaged:  # our own
            continue
        config = open_clip.get_model_config(name)
        known = open_clip.pretrained.get_pretrained_cfg(name, "openai")
        assert known["url"] == WEIGHTS[name].url
        assert WEIGHTS[name].sha256 in known["url"]
        assert known["quick_gelu"] is sizes.quick_gelu
        assert (known["mean"], known["std"]) == (sizes.mean, sizes.std)
        vision, text = config["vision_cfg"], config["text_cfg"]
        assert config["embed_dim"] == sizes.embed_dim
        assert vision["image_size"] == sizes.image_size
        assert vision["patch_size"] == sizes.patch_size
        assert (vision["width"], vision["layers"]) == (sizes.vision_width, sizes.vision_layers)
        assert (text["width"], text["layers"]) == (sizes.text_width, sizes.text_layers)
        assert (text["heads"], text["context_length"]) == (sizes.text_heads, sizes.context_length)


def test_shapes_are_known_without_weights_and_without_open_clip():
    assert Caption().spec.shape == (78, 768)
    assert Caption(model="ViT-L-14-336").canvas == 336


def test_missing_weights_name_file_and_command(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="plugins fetch caption") as caught:
        Caption().build_extractor()
    assert "clip-vit-l-14-openai.pt" in str(caught.value)


def test_wrong_archive_is_refused_by_its_digest(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPOSER_PL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "other.pt").write_bytes(b"other")
    with pytest.raises(MissingWeightsError, match="sha256"):
        Caption(weights_file=str(tmp_path / "other.pt")).build_extractor()


def test_weights_of_another_size_are_refused_and_never_random(clip, tmp_path):
    config = json.loads(json.dumps(TINY))
    config["text_cfg"]["layers"] = 3
    place = write_folder(tmp_path, clip, config)
    with pytest.raises(ConfigError, match=r"resblocks\.2"):
        Caption(weights_file=place).build_extractor()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"custom_text": True}, "custom_text"),
        ({"text_cfg": {**TINY["text_cfg"], "hf_model_name": "x"}}, "hf_model_name"),
        ({"text_cfg": {**TINY["text_cfg"], "vocab_size": 100}}, "vocabulary"),
        ({"vision_cfg": {"image_size": 28}}, "missing"),
        ({"embed_dim": "wide"}, "embed_dim"),
    ],
)
def test_configurations_of_other_models_are_refused(clip, tmp_path, change, named):
    place = write_folder(tmp_path, clip, {**TINY, **change})
    with pytest.raises(ConfigError, match=named):
        Caption(weights_file=place).spec  # noqa: B018


def test_unknown_model_and_absent_folder_are_named(tmp_path):
    with pytest.raises(ConfigError, match="ViT-L-14"):
        Caption(model="ViT-L-15")
    with pytest.raises(MissingWeightsError, match="no such folder"):
        Caption(weights_file=str(tmp_path / "absent")).spec  # noqa: B018


# -- one CLIP --------------------------------------------------------------------------------------


def test_agreement_tells_weights_apart(clip, folder, tmp_path):
    facts = {
        Caption().agreement()["clip"],
        Caption(model="ViT-L-14-336").agreement()["clip"],
        Caption(weights_file=folder).agreement()["clip"],
    }
    assert len(facts) == 3
    same = write_folder(tmp_path / "copy", clip)
    assert Caption(weights_file=same).agreement() == Caption(weights_file=folder).agreement()


def test_agreement_of_a_converted_file_is_that_of_its_source(clip, tmp_path):
    torch.save(clip.state_dict(), tmp_path / "tiny.pt")
    target = tmp_path / "tiny.safetensors"
    convert(WEIGHTS["ViT-L-14"], tmp_path / "tiny.pt", target)
    assert Caption(weights_file=str(target)).agreement() == Caption().agreement()


def test_agreement_needs_no_file(tmp_path):
    absent = str(tmp_path / "absent.safetensors")
    assert Caption(weights_file=absent).agreement() == {"clip": f"ViT-L-14/{absent}"}


# -- encoding, comparing, reading ------------------------------------------------------------------


def test_encoder_masks_rows_after_the_end_token(extract, folder):
    encoder = Caption(weights_file=folder).build_encoder(DIMS)
    signals = encoder(extract(TEXTS), torch.tensor([True, True, False]))
    tokens, _ = extract.tokenize(TEXTS)
    assert signals.context.shape == (3, 77, 16)
    assert signals.context_mask.sum(1).tolist() == [*(tokens[:2].argmax(1) + 1).tolist(), 0]
    assert not signals.context[1, 2:].any()


def test_encoder_refuses_sentences_of_another_length(extract, folder):
    encoder = Caption(weights_file=folder).build_encoder(DIMS)
    value = extract(TEXTS)
    value[1, 0] /= 2
    with pytest.raises(RepresentationError, match=r"length 6\.93"):
        encoder(value, torch.ones(3, dtype=torch.bool))
    value[1] = 0  # what a dropped row holds
    encoder(value, torch.tensor([True, False, True]))


def test_adherence_is_clips_cosine(clip, extract, folder):
    plugin = Caption(weights_file=folder)
    value = extract(TEXTS)
    sizes = architecture("ViT-L-14", folder)
    mean, std = (torch.tensor(part)[:, None, None] for part in (sizes.mean, sizes.std))
    with torch.no_grad():
        image = clip.encode_image(((pictures() + 1) / 2 - mean) / std)
        text = clip.encode_text(pytest.importorskip("open_clip").tokenize(TEXTS))
    scores = plugin.adherence(pictures(), value, extractor=extract)
    assert torch.allclose(scores, cosine(image, text), atol=1e-5)


def test_reading_a_text_equals_extracting_it_and_leaves_the_plugin_as_it_was(extract, folder):
    plugin = Caption(weights_file=folder)
    value = plugin.read("a photo of a cat")
    assert torch.allclose(value, extract(["a photo of a cat"])[0], atol=1e-6)
    assert plugin == Caption(weights_file=folder)
    assert len(pickle.dumps(plugin)) < 1000
    assert plugin._reader is not None


def test_a_picture_of_the_value_has_a_row_for_each_token(extract, folder):
    shown = Caption(weights_file=folder).visualize(extract(TEXTS))
    assert shown.shape == (3, 3, 78, 64)
    assert (shown[1, :, 3:] == 0.5).all()
