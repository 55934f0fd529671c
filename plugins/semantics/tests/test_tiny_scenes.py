"""Facts of the tiny CLIP that is shipped with this package."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from composer_pl.plugin import ConfigError, MissingWeightsError, resolve_weights
from composer_pl.plugin.testing import PluginContract
from composer_pl_semantics import Semantics
from composer_pl_semantics.clip import build_clip
from composer_pl_semantics.clip_models import MODELS, WEIGHTS
from composer_pl_semantics.shipped import MADE_OF, SHA256, SIZE, TINY_SCENES


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of the shipped form with random weights."""
    pytest.importorskip("open_clip")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = build_clip(MODELS["tiny-scenes"]).state_dict()
    place = tmp_path_factory.mktemp("tiny") / TINY_SCENES.name
    tower = {k: v.half() for k, v in state.items() if k.startswith("visual.")}
    save_file(tower, place, metadata={"made_of": "ab" * 32})
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
        return Semantics(model="tiny-scenes", weights_file=str(file))


def test_its_shape_is_known_without_weights():
    plugin = Semantics(model="tiny-scenes")
    assert plugin.spec.shape == (160,)
    assert plugin.canvas == 64
    assert plugin.weights_in_use() == (TINY_SCENES,)


def test_it_is_read_from_the_package_by_the_code_that_reads_others(file, shipped):
    image = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    value = Semantics(model="tiny-scenes").build_extractor()(image)
    assert value.shape == (2, 160)
    named = Semantics(model="tiny-scenes", weights_file=str(file)).build_extractor()
    assert torch.equal(named(image), value)


def test_what_is_declared_is_what_is_shipped():
    place = Path(TINY_SCENES.packaged)
    assert place.is_file() == bool(SHA256) == bool(SIZE) == bool(MADE_OF)
    if SHA256:
        assert resolve_weights(TINY_SCENES, condition="semantics") == place
        assert place.stat().st_size == SIZE
        named = Semantics(model="tiny-scenes", weights_file=str(place))
        assert named.agreement() == Semantics(model="tiny-scenes").agreement()


def test_agreement_is_that_of_the_trained_state_and_of_no_other_clip(file):
    facts = {Semantics(model=name).agreement()["clip"] for name in MODELS}
    assert len(facts) == len(MODELS)
    assert Semantics(model="tiny-scenes").agreement() == {"clip": f"tiny-scenes/{MADE_OF[:16]}"}
    own = Semantics(model="tiny-scenes", weights_file=str(file)).agreement()
    assert own == {"clip": f"tiny-scenes/{'ab' * 8}"}


# -- mistakes --------------------------------------------------------------------------------------


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "Next: " in text
    return text


def test_its_weights_under_another_models_name_are_refused(file):
    with pytest.raises(ConfigError, match=r"expected \(.*\), found \(.*correct `model`") as error:
        Semantics(weights_file=str(file)).build_extractor()
    one_line(error)


def test_weights_of_another_size_under_its_name_are_refused(tmp_path):
    state = build_clip(replace(MODELS["tiny-scenes"], vision_width=192)).state_dict()
    save_file(state, tmp_path / "other.safetensors")
    plugin = Semantics(model="tiny-scenes", weights_file=str(tmp_path / "other.safetensors"))
    with pytest.raises(ConfigError, match=r"expected \(.*\), found \(.*correct `model`") as error:
        plugin.build_extractor()
    one_line(error)


def test_a_foreign_file_is_refused(tmp_path):
    place = tmp_path / "foreign.safetensors"
    place.write_bytes(b"no weights")
    plugin = Semantics(model="tiny-scenes", weights_file=str(place))
    with pytest.raises(MissingWeightsError, match="expected a safetensors file") as error:
        plugin.build_extractor()
    one_line(error)


def test_a_package_without_its_file_says_so(monkeypatch, tmp_path):
    spec = replace(TINY_SCENES, packaged=str(tmp_path / TINY_SCENES.name))
    monkeypatch.setitem(WEIGHTS, "tiny-scenes", spec)
    with pytest.raises(MissingWeightsError, match=r"no such file.*reinstall") as error:
        Semantics(model="tiny-scenes").build_extractor()
    assert spec.packaged in one_line(error)
