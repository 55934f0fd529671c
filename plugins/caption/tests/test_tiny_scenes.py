"""Facts of the tiny CLIP that is shipped with this package."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from composer_pl.plugin import ConfigError, MissingWeightsError, resolve_weights
from composer_pl.plugin.testing import PluginContract
from composer_pl_caption import Caption
from composer_pl_caption.clip import build_clip
from composer_pl_caption.clip_models import MODELS, WEIGHTS
from composer_pl_caption.clip_tensors import read_tensors, without_empty_words
from composer_pl_caption.shipped import MADE_OF, SHA256, SIZE, TINY_SCENES

TEXTS = ["a red cube left of a blue ball", "", "two green cones on a wooden floor"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of the shipped form with random weights."""
    pytest.importorskip("open_clip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = build_clip(MODELS["tiny-scenes"]).state_dict()
    place = tmp_path_factory.mktemp("tiny") / TINY_SCENES.name
    save_file({k: v.half() for k, v in state.items()}, place, metadata={"made_of": "ab" * 32})
    return place


@pytest.fixture
def shipped(file, monkeypatch):
    """The random file in the place of the shipped one."""
    spec = replace(TINY_SCENES, packaged=str(file), sha256="", size=0)
    monkeypatch.setitem(WEIGHTS, "tiny-scenes", spec)


class TestContract(PluginContract):
    test_import_and_construction_load_nothing_heavy = None  # seconds; test_plugin.py has it

    @pytest.fixture
    def plugin(self, file):
        return Caption(model="tiny-scenes", weights_file=str(file))


def test_its_shape_is_known_without_weights():
    plugin = Caption(model="tiny-scenes")
    assert plugin.spec.shape == (65, 160)
    assert plugin.canvas == 64
    assert plugin.weights_in_use() == (TINY_SCENES,)


def test_it_is_read_from_the_package_by_the_code_that_reads_others(file, shipped):
    extract = Caption(model="tiny-scenes").build_extractor()
    value = extract(TEXTS)
    assert value.shape == (3, 65, 160)
    assert not value[:, 1:, 96:].any()  # words are narrower than sentences
    named = Caption(model="tiny-scenes", weights_file=str(file)).build_extractor()
    assert torch.equal(named(TEXTS), value)
    assert extract.image_embedding(torch.zeros(1, 3, 64, 64)).shape == (1, 160)


def test_what_is_declared_is_what_is_shipped():
    place = Path(TINY_SCENES.packaged)
    assert place.is_file() == bool(SHA256) == bool(SIZE) == bool(MADE_OF)
    if SHA256:
        assert resolve_weights(TINY_SCENES, condition="caption") == place
        assert place.stat().st_size == SIZE
        named = Caption(model="tiny-scenes", weights_file=str(place))
        assert named.agreement() == Caption(model="tiny-scenes").agreement()


def test_agreement_is_that_of_the_trained_state_and_of_no_other_clip(file):
    facts = {Caption(model=name).agreement()["clip"] for name in MODELS}
    assert len(facts) == len(MODELS)
    assert Caption(model="tiny-scenes").agreement() == {"clip": f"tiny-scenes/{MADE_OF[:16]}"}
    own = Caption(model="tiny-scenes", weights_file=str(file)).agreement()
    assert own == {"clip": f"tiny-scenes/{'ab' * 8}"}


def test_words_that_it_does_not_know_are_told_once_in_one_line(caplog):
    pytest.importorskip("open_clip")
    extract = Caption(model="tiny-scenes").build_extractor()
    extract([*TEXTS, None, "A RED sphere, a blue checkerboard!"])
    assert not caplog.messages
    extract(["two metal cubes", "a zebra on the Moon, a zebra"])
    (told,) = caplog.messages
    assert told.startswith("Words of a caption have no meaning to this CLIP of few words: zebra, m")
    assert "Next: " in told
    extract(["a lion"])
    assert len(caplog.messages) == 1


def test_a_clip_of_all_words_has_nothing_to_tell(file, caplog):
    Caption(model="tiny-scenes", weights_file=str(file)).build_extractor()(["a zebra"])
    assert not caplog.messages


# -- mistakes --------------------------------------------------------------------------------------


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "Next: " in text
    return text


def test_its_weights_under_another_models_name_are_refused(file):
    with pytest.raises(ConfigError, match=r"expected \(.*\), found \(.*correct `model`") as error:
        Caption(weights_file=str(file)).build_extractor()
    one_line(error)


def test_weights_of_another_size_under_its_name_are_refused(tmp_path):
    state = build_clip(replace(MODELS["tiny-scenes"], text_width=192)).state_dict()
    save_file(state, tmp_path / "other.safetensors")
    plugin = Caption(model="tiny-scenes", weights_file=str(tmp_path / "other.safetensors"))
    with pytest.raises(ConfigError, match=r"expected \(.*\), found \(.*correct `model`") as error:
        plugin.build_extractor()
    one_line(error)


def test_the_image_tower_alone_is_no_caption(file, tmp_path):
    state = {k: v for k, v in load_file(file).items() if k.startswith("visual.")}
    save_file(state, tmp_path / "visual.safetensors")
    plugin = Caption(model="tiny-scenes", weights_file=str(tmp_path / "visual.safetensors"))
    with pytest.raises(ConfigError, match="found nothing") as error:
        plugin.build_extractor()
    one_line(error)


def test_a_foreign_file_is_refused(tmp_path):
    place = tmp_path / "foreign.safetensors"
    place.write_bytes(b"no weights")
    plugin = Caption(model="tiny-scenes", weights_file=str(place))
    with pytest.raises(MissingWeightsError, match="expected a safetensors file") as error:
        plugin.build_extractor()
    one_line(error)


def test_a_package_without_its_file_says_so(monkeypatch, tmp_path):
    spec = replace(TINY_SCENES, packaged=str(tmp_path / TINY_SCENES.name))
    monkeypatch.setitem(WEIGHTS, "tiny-scenes", spec)
    with pytest.raises(MissingWeightsError, match=r"no such file.*reinstall") as error:
        Caption(model="tiny-scenes").build_extractor()
    assert spec.packaged in one_line(error)


def test_a_file_without_the_words_that_no_caption_uses_is_the_same_clip(file, tmp_path):
    state = load_file(file)
    table = state["token_embedding.weight"]
    used = torch.tensor([3, 320, 49406, 49407])
    table[torch.isin(torch.arange(len(table)), used).logical_not()] = 0
    save_file(state, tmp_path / "whole.safetensors")
    few, facts = without_empty_words(state)
    assert len(few["token_embedding.weight"]) == len(used)
    save_file(few, tmp_path / "few.safetensors", metadata=facts)
    for visual in (False, True):
        whole, again = (
            read_tensors(tmp_path / f"{name}.safetensors", visual=visual)
            for name in ("whole", "few")
        )
        assert whole.keys() == again.keys()
        for name, value in whole.items():
            assert torch.equal(value, again[name]), name
