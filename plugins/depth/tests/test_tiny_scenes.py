"""Facts of the tiny depth estimator that is shipped with this package."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from composer_pl.plugin import MissingWeightsError, resolve_weights
from composer_pl.plugin.testing import PluginContract
from composer_pl_depth import Depth
from composer_pl_depth.estimators import architecture_config
from composer_pl_depth.shipped import SHA256, SIZE, TINY_SCENES
from composer_pl_depth.weights import WEIGHTS


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of the shipped form with random weights."""
    transformers = pytest.importorskip("transformers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.DPTForDepthEstimation(
            architecture_config(transformers, "tiny-scenes")
        )
        with torch.no_grad():  # so that the last ReLU does not answer zero everywhere
            for name, parameter in network.named_parameters():
                if name == "head.head.4.bias":
                    parameter += 1
                elif parameter.ndim > 1:
                    parameter.normal_(0, 0.1)
    place = tmp_path_factory.mktemp("tiny") / TINY_SCENES.name
    save_file({k: v.half() for k, v in network.state_dict().items()}, place)
    return place


class TestContract(PluginContract):
    @pytest.fixture
    def plugin(self, file):
        return Depth(model="tiny-scenes", weights_file=str(file))


def pictures(side):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_its_canvas_is_its_own_and_a_settled_one_is_the_same_plugin():
    plugin = Depth(model="tiny-scenes")
    assert plugin.canvas == 128
    assert plugin == Depth(**plugin.config()) == Depth(model="tiny-scenes", canvas=128)
    assert Depth().canvas == Depth(model="dpt-large").canvas == 252
    assert Depth() == Depth(canvas=252)
    assert Depth(model="tiny-scenes", canvas=64).canvas == 64
    assert plugin.weights_in_use() == (TINY_SCENES,)


def test_it_is_read_from_the_package_by_the_code_that_reads_others(file, monkeypatch):
    spec = replace(TINY_SCENES, packaged=str(file), sha256="", size=0)
    monkeypatch.setitem(WEIGHTS, "tiny-scenes", spec)
    value = Depth(model="tiny-scenes").build_extractor()(pictures(128))
    assert value.shape == (2, 1, 128, 128)
    assert value.std() > 0.1
    named = Depth(model="tiny-scenes", weights_file=str(file)).build_extractor()
    assert torch.equal(named(pictures(128)), value)


@pytest.mark.parametrize(("side", "answered"), [(64, 64), (100, 96), (252, 256)])
def test_other_sizes_are_answered_at_multiples_of_its_coarsest_map(file, side, answered):
    extract = Depth(model="tiny-scenes", weights_file=str(file)).build_extractor()
    assert extract(pictures(side)).shape == (2, 1, answered, answered)


def test_what_is_declared_is_what_is_shipped():
    place = Path(TINY_SCENES.packaged)
    assert place.is_file() == bool(SHA256) == bool(SIZE)
    if SHA256:
        assert resolve_weights(TINY_SCENES, condition="depth") == place
        assert place.stat().st_size == SIZE


# -- mistakes --------------------------------------------------------------------------------------


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "Next: " in text
    return text


@pytest.mark.parametrize("model", ["depth-anything-v2-small", "dpt-large"])
def test_its_weights_under_another_models_name_are_refused(file, model):
    with pytest.raises(MissingWeightsError, match=f"{model}.*set `model` to the one") as error:
        Depth(model=model, weights_file=str(file)).build_extractor()
    assert "report above" not in one_line(error)
    assert "ignore_mismatched_sizes" not in one_line(error)


def test_weights_of_another_size_under_its_name_are_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = architecture_config(transformers, "tiny-scenes")
    config.hidden_size = 64
    network = transformers.DPTForDepthEstimation(config)
    save_file(network.state_dict(), tmp_path / "other.safetensors")
    plugin = Depth(model="tiny-scenes", weights_file=str(tmp_path / "other.safetensors"))
    with pytest.raises(MissingWeightsError, match=r"tiny-scenes.*set `model` to") as error:
        plugin.build_extractor()
    assert "tensors of other sizes" in one_line(error)
    assert "(1, 1, 64) instead of (1, 1, 128)" in one_line(error)


@pytest.mark.parametrize("fault", ["lacking", "text"])
def test_a_foreign_file_is_refused(file, tmp_path, fault):
    place = tmp_path / "foreign.safetensors"
    if fault == "text":
        place.write_bytes(b"no weights")
    else:
        state = load_file(file)
        del state["head.head.4.weight"]
        save_file(state, place)
    with pytest.raises(MissingWeightsError, match="tiny-scenes") as error:
        Depth(model="tiny-scenes", weights_file=str(place)).build_extractor()
    one_line(error)


def test_a_package_without_its_file_says_so(monkeypatch, tmp_path):
    spec = replace(TINY_SCENES, packaged=str(tmp_path / TINY_SCENES.name))
    monkeypatch.setitem(WEIGHTS, "tiny-scenes", spec)
    with pytest.raises(MissingWeightsError, match=r"no such file.*reinstall") as error:
        Depth(model="tiny-scenes").build_extractor()
    assert spec.packaged in one_line(error)
