"""Networks by their specs."""

import pytest
import torch
from coco_fakes import artist, make_model
from fakes import FakeCaption

from composer_pl.errors import MissingWeightsError, UserInputError
from composer_pl.evaluation.coco.networks import (
    CONDITIONING,
    HEADLINE,
    Scorer,
    kind_of,
    load_scorer,
    name_of,
    title_of,
)


@pytest.mark.parametrize(
    ("spec", "name", "title"),
    [
        ("tiny", "tiny", "tiny"),
        ("own", "own", "the model's own CLIP"),
        ("inception:a:b.pth", "inception", "torchmetrics"),
        ("clean-inception:a.pt#0123abcd", "clean-inception", "clean-fid"),
        ("clip:ViT-B-32-quickgelu:a.pt", "clip:ViT-B-32", "ViT-B/32"),
        ("clip:ViT-L-14:a.pt", CONDITIONING, "ViT-L/14"),
        ("clip:ViT-H-14:C:/a.pt", "clip:ViT-H-14", "ViT-H-14"),
    ],
)
def test_a_spec_has_a_name_and_a_title(spec, name, title):
    assert name_of(spec) == name
    assert title_of(name) == title
    assert kind_of(name) == ("clip" if spec.startswith(("clip:", "own")) else "features")


def test_the_headline_has_both_ways_to_fid_and_both_clips():
    titles = [title_of(name) for name in HEADLINE]
    assert titles == ["clean-fid", "torchmetrics", "ViT-B/32", "ViT-L/14"]


@pytest.mark.parametrize("spec", ["", "tiny:a", "inception", "inception:", "clip:a", "vgg:a"])
def test_a_wrong_spec_is_refused(spec):
    with pytest.raises(UserInputError, match="Reading the network"):
        name_of(spec)


def test_an_absent_file_is_refused(tmp_path):
    for kind in ("inception", "clean-inception"):
        with pytest.raises(MissingWeightsError, match=r"absent\.pt"):
            load_scorer(f"{kind}:{tmp_path / 'absent.pt'}", artist())


def test_a_file_may_have_a_hash_in_its_name(tmp_path):
    pytest.importorskip("open_clip")
    for file, told in (("a#b.pt", r"a#b\.pt"), ("a.pt#0123abcd", r"a\.pt'")):
        with pytest.raises(MissingWeightsError, match=told):
            load_scorer(f"clip:ViT-B-32:{tmp_path / file}", artist())


def test_the_tiny_network_is_shipped_and_no_protocol():
    scorer = load_scorer("tiny", artist())
    assert isinstance(scorer, Scorer)
    assert not scorer.published
    pictures = torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8)
    rows = scorer(pictures, ())
    assert rows.ndim == 2
    assert len(rows) == 2
    assert rows.dtype == torch.float32
    assert scorer.facts["digest"][:12] in scorer.slug
    assert torch.allclose(scorer(pictures[1:], ()), rows[1:], atol=1e-4)


@pytest.mark.slow  # torchmetrics takes seconds to import
def test_a_clip_of_open_clip_scores_each_picture():
    from composer_pl.evaluation.coco.networks import _Cosines
    from composer_pl.evaluation.metrics.clip_network import ClipNetwork

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def encode_image(self, pictures):
            return torch.stack([pictures.mean((1, 2, 3)), torch.ones(len(pictures))], 1)

        def encode_text(self, tokens):
            return torch.stack([tokens[:, 0].float(), torch.zeros(len(tokens))], 1)

    clip = ClipNetwork(
        name="x",
        digest="ab" * 32,
        model=Model(),
        preprocess=lambda image: torch.full((3, 2, 2), image.getpixel((0, 0))[0] / 255),
        tokenize=lambda texts: torch.tensor([[len(text)] for text in texts]),
        side=2,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    scorer = _Cosines("clip:x", clip)
    pictures = torch.stack([torch.full((3, 4, 4), 255), torch.zeros(3, 4, 4)]).byte()
    found = scorer(pictures, ["one", "two words"])
    assert torch.allclose(found[:, 0], torch.tensor([0.5**0.5, 0.0]))
    assert isinstance(scorer, Scorer)


def test_the_models_own_caption_network_is_its_conditions_adherence(fake_plugins, monkeypatch):
    """A score of the plugin's, one a picture, at the canvas that it asks for."""
    given = {}

    def brightness(self, image, value, *, extractor):
        given["value"] = value
        return image.mean((1, 2, 3))

    monkeypatch.setattr(FakeCaption, "adherence", brightness)
    scorer = load_scorer("own", artist())
    pictures = torch.stack([torch.full((3, 16, 16), level) for level in (0, 255)]).byte()
    assert torch.allclose(scorer(pictures, ["a", "bb"])[:, 0], torch.tensor([-1.0, 1.0]))
    assert given["value"][:, :2].tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert isinstance(scorer, Scorer)
    assert not scorer.published
    assert load_scorer("own", artist()).slug == scorer.slug


def test_what_a_model_was_trained_with_makes_no_other_network(fake_plugins, monkeypatch):
    """Nor the place of its weights; the agreement names what reads captions."""
    from composer_pl.composing.composer import Composer
    from composer_pl.evaluation.coco.drawing import CaptionArtist

    monkeypatch.setattr(FakeCaption, "agreement", lambda self: {"clip": "one"})
    own = [
        load_scorer("own", CaptionArtist(Composer(make_model({"caption": FakeCaption(**told)}))))
        for told in ({}, {"drop_prob": 0.9})
    ]
    assert (
        own[0].facts
        == own[1].facts
        == {"name": "own", "extraction": {"agreement": {"clip": "one"}}}
    )
    assert own[0].slug == own[1].slug


def test_a_caption_network_that_knows_no_pictures_is_refused(monkeypatch):
    monkeypatch.delattr(FakeCaption, "adherence")
    with pytest.raises(UserInputError, match="leave --network own out"):
        load_scorer("own", artist())(torch.zeros(1, 3, 16, 16).byte(), ["a"])
