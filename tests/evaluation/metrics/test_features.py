"""Feature networks: where they come from, what they say of themselves, what is refused."""

import hashlib
import json

import pytest
import torch
from feature_fakes import small_inception, write_clip, write_program
from safetensors.torch import save_file

from composer_pl.errors import MissingWeightsError, UserInputError
from composer_pl.evaluation.metrics import features
from composer_pl.evaluation.metrics.features import FeatureNetwork, feature_network


def pictures(count=2, size=(70, 90)):
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8)


@pytest.fixture
def inception(tmp_path):
    path = tmp_path / "inception.pth"
    torch.save(small_inception(), path)
    return path


def refusal(spec, error=MissingWeightsError, **options):
    with pytest.raises(error) as said:
        feature_network(spec, **options)
    text = str(said.value)
    assert "\n" not in text
    assert "Next: " in text
    return text


def test_tiny_is_the_judges_penultimate_layer():
    from composer_pl.evaluation.scenes.judge import load_judge

    network = feature_network("tiny")
    batch = pictures(size=(64, 64))
    expected = load_judge().features(batch / 127.5 - 1)
    torch.testing.assert_close(network(batch), expected)
    assert network.width == expected.shape[1]


def test_a_description_is_plain_json_with_the_resize(inception):
    network = feature_network(f"inception:{inception}", resize="clean")
    assert isinstance(network, FeatureNetwork)
    said = json.loads(json.dumps(network.describe()))
    assert said["name"] == "inception"
    assert said["resize"] == "clean"
    assert "antialiased bicubic" in said["resize_in_words"]
    assert said["digest"] == hashlib.sha256(inception.read_bytes()).hexdigest()
    assert said["published"] is False
    assert said["width"] == network(pictures(1)).shape[1]


def test_safetensors_hold_the_same_network(inception, tmp_path):
    save_file(small_inception(), tmp_path / "inception.safetensors")
    batch = pictures()
    torch.testing.assert_close(
        feature_network(f"inception:{tmp_path / 'inception.safetensors'}")(batch),
        feature_network(f"inception:{inception}")(batch),
    )


def test_the_resize_moves_features(inception):
    batch = pictures(size=(500, 500))
    by_default = feature_network(f"inception:{inception}")(batch)
    for how, same in (("torch", True), ("clean", False), ("tensorflow", False)):
        found = feature_network(f"inception:{inception}", resize=how)(batch)
        assert torch.allclose(found, by_default) is same


def test_many_pictures_are_done_in_parts(monkeypatch):
    monkeypatch.setattr(features, "_AT_ONCE", 2)
    network = feature_network("tiny")
    batch = pictures(5, size=(64, 64))
    expected = torch.cat([network(picture[None]) for picture in batch])
    torch.testing.assert_close(network(batch), expected, rtol=1e-5, atol=1e-5)
    assert network(batch[:0]).shape == (0, network.width)


@pytest.mark.filterwarnings("ignore:`torch.jit.load`:FutureWarning")
def test_clean_inception_is_clean_fids(tmp_path):
    """Its wrapper, its program (with layers of our own), its resize."""
    from cleanfid.inception_torchscript import InceptionV3W

    path = write_program(tmp_path / "inception-2015-12-05.pt")
    network = feature_network(f"clean-inception:{path}")
    batch = pictures(size=(299, 299))
    with torch.no_grad():
        # Its wrapper wants features of 2048; its layers do not.
        theirs = InceptionV3W(str(tmp_path), download=False).layers((batch.float() - 128) / 128)
    torch.testing.assert_close(network(batch), theirs.flatten(1), rtol=1e-5, atol=1e-6)
    assert network.describe()["resize"] == "clean"


def test_clip_features_are_open_clips(tmp_path):
    import open_clip

    folder = write_clip(tmp_path / "clip")
    network = feature_network(f"clip:small:{folder}")
    batch = pictures(size=(32, 32))
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    with torch.no_grad():
        expected = model.encode_image((batch / 255 - mean) / std)
    torch.testing.assert_close(network(batch), expected)
    assert network.name == "clip:small"
    assert network.width == 32


def test_a_digest_is_asked_for_behind_a_mark(inception):
    digest = hashlib.sha256(inception.read_bytes()).hexdigest()
    assert feature_network(f"inception:{inception}#{digest[:12]}").digest == digest
    said = refusal(f"inception:{inception}#00000000")
    assert "sha256 of 00000000" in said
    assert digest[:16] in said


def test_a_digest_in_a_name_is_believed(tmp_path):
    """As torch's hub names files."""
    path = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(small_inception(), path)
    assert "sha256 of 6726825d" in refusal(f"inception:{path}")


@pytest.mark.parametrize("kind", ["inception", "clean-inception", "clip:ViT-B-32"])
def test_a_missing_file_is_named(kind, tmp_path):
    assert "found no such file" in refusal(f"{kind}:{tmp_path / 'absent.pt'}")


@pytest.mark.parametrize("kind", ["inception", "clean-inception", "clip:ViT-S-32"])
def test_a_file_of_other_things_is_refused(kind, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"neither tensors nor a program")
    assert str(path) in refusal(f"{kind}:{path}")


def test_tensors_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"layer.weight": torch.zeros(3, 3)}, path)
    assert "Conv2d_1a_3x3" in refusal(f"inception:{path}")
    torch.save({"layer": {"weight": 1}}, path)
    assert "other values" in refusal(f"inception:{path}")


def test_a_file_of_something_else_is_told_without_the_advice_to_run_it(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# words\n")
    said = refusal(f"inception:{path}")
    assert "found something else. Next: get the file again" in said
    assert "weights_only" not in said


def test_a_program_is_not_run_for_tensors(tmp_path):
    path = write_program(tmp_path / "weights.pt")
    assert "TorchScript program" in refusal(f"inception:{path}")
    assert "TorchScript program" in refusal(f"clip:ViT-S-32:{path}")


@pytest.mark.parametrize("text", ["echo a shell script", "", "{}", "\x80\x02}"])
def test_a_file_that_is_none_is_refused_whatever_it_holds(tmp_path, text):
    """torch's unpickler answers such bytes with an IndexError, say."""
    path = tmp_path / "weights.pth"
    path.write_bytes(text.encode("latin-1"))
    for kind in ("inception", "clean-inception"):
        assert "weights.pth" in refusal(f"{kind}:{path}")


@pytest.mark.parametrize("spec", ["inceptoin:x", "tiny:x", "inception", "", "vgg:x"])
def test_other_texts_are_refused(spec):
    assert "clean-inception:FILE" in refusal(spec, UserInputError)


def test_an_unknown_clip_is_refused_with_the_nearest(tmp_path):
    assert "did you mean 'ViT-B-32'" in refusal(f"clip:ViT-B32:{tmp_path / 'x'}", UserInputError)
    assert "clip:NAME:FILE" in refusal("clip:ViT-B-32", UserInputError)


def test_an_unknown_resize_is_refused():
    refusal("tiny", UserInputError, resize="bicubic")
