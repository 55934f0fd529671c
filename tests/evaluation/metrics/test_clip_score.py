"""CLIP score against open_clip's own embeddings, on a CLIP with random weights."""

import pytest
import torch
from feature_fakes import write_clip

from composer_pl.errors import MissingWeightsError, UserInputError
from composer_pl.evaluation.metrics.clip_network import clip_network
from composer_pl.evaluation.metrics.clip_score import ClipScore


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return clip_network("small", write_clip(tmp_path_factory.mktemp("clip")))


def pictures(count):
    return torch.randint(0, 256, (count, 3, 40, 40), dtype=torch.uint8)


CAPTIONS = ["a red cube", "two small spheres on a brown floor", "nothing"]


def test_it_is_the_mean_cosine_of_open_clips_embeddings(clip):
    from PIL import Image

    batch = pictures(3)
    metric = ClipScore(clip)
    metric.update(batch, CAPTIONS)
    cosines = []
    with torch.no_grad():
        for picture, caption in zip(batch, CAPTIONS, strict=True):
            prepared = clip.preprocess(Image.fromarray(picture.permute(1, 2, 0).numpy()))
            seen = clip.model.encode_image(prepared[None])[0]
            read = clip.model.encode_text(clip.tokenize([caption]))[0]
            cosines.append(float(seen @ read / (seen.norm() * read.norm())))
    assert metric.values().tolist() == pytest.approx(cosines, abs=1e-6)
    assert float(metric.compute()) == pytest.approx(sum(cosines) / 3, abs=1e-6)


def test_batches_do_not_change_it(clip):
    batch = pictures(3)
    whole, parts = ClipScore(clip), ClipScore(clip)
    whole.update(batch, CAPTIONS)
    parts.update(batch[:2], CAPTIONS[:2])
    parts.update(batch[:0], [])
    parts.update(batch[2:], CAPTIONS[2:])
    assert float(parts.compute()) == pytest.approx(float(whole.compute()), abs=1e-6)


def test_a_reset_forgets(clip):
    metric = ClipScore(clip)
    metric.update(pictures(3), CAPTIONS)
    metric.reset()
    assert len(metric.values()) == 0


def test_a_long_caption_is_cut_and_keeps_its_end(clip):
    """The embedding is read at the end token; without it the score would collapse."""
    words = "cube " * 75
    tokens = clip.tokenize([words.strip(), words + "sphere " * 40])
    assert torch.equal(tokens[0], tokens[1])
    assert int(tokens[1][-1]) == int(tokens.max())


@pytest.mark.parametrize("captions", [CAPTIONS[:2], [*CAPTIONS[:2], " "], []])
def test_pictures_without_their_caption_are_refused(clip, captions):
    with pytest.raises(UserInputError, match="one caption a picture"):
        ClipScore(clip).update(pictures(3), captions)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_pictures_have_no_score(clip):
    with pytest.raises(UserInputError, match="expected pictures, found none"):
        ClipScore(clip).compute()


def test_a_digest_is_checked(clip, tmp_path):
    folder = write_clip(tmp_path / "clip")
    assert clip_network("small", folder, digest=clip.digest[:10]).digest == clip.digest
    with pytest.raises(MissingWeightsError, match="sha256 of 00000000"):
        clip_network("small", folder, digest="00000000")


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(MissingWeightsError, match=r"open_clip_config\.json"):
        clip_network("small", tmp_path)


def test_openais_weights_under_another_activation_are_refused(tmp_path, monkeypatch):
    from composer_pl.evaluation.metrics import clip_network as module

    path = tmp_path / "ViT-B-32.pt"
    path.write_bytes(b"stands for OpenAI's file")
    monkeypatch.setitem(
        module.OPENAI, module.checked_file(path, network="")[1], "ViT-B-32-quickgelu"
    )
    with pytest.raises(UserInputError, match="Next: clip:ViT-B-32-quickgelu:"):
        clip_network("ViT-B-32", path)
