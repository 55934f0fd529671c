"""Networks of a comparison run in full float32, and fast."""

import pytest
import torch
from feature_fakes import write_clip

from composer_pl.evaluation.metrics.clip_network import clip_network
from composer_pl.evaluation.metrics.clip_score import ClipScore
from composer_pl.evaluation.metrics.features import PictureFeatures

CUDNN = torch.backends.cudnn
BATCH = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)


@pytest.fixture
def tf32():
    """TF32 allowed outside, as torch has it."""
    before = CUDNN.allow_tf32
    CUDNN.allow_tf32 = True
    yield
    CUDNN.allow_tf32 = before


def state():
    return CUDNN.allow_tf32, CUDNN.enabled, CUDNN.benchmark, CUDNN.deterministic


@pytest.mark.usefixtures("tf32")
def test_feature_networks_see_no_tf32_and_the_same_cudnn():
    outside, seen = state(), []

    def network(pictures):
        seen.append(state())
        return pictures.mean((2, 3))

    PictureFeatures(
        name="fake",
        digest="0" * 64,
        published=False,
        width=3,
        side=32,
        resize="clean",
        network=network,
        device=torch.device("cpu"),
    )(BATCH)
    assert seen == [(False, *outside[1:])]
    assert state() == outside


@pytest.mark.usefixtures("tf32")
def test_clip_score_sees_no_tf32(tmp_path):
    clip, seen = clip_network("small", write_clip(tmp_path)), []
    clip.model.visual.register_forward_pre_hook(lambda *_: seen.append(CUDNN.allow_tf32))
    ClipScore(clip).update(BATCH, ["a cube"])
    assert seen == [False]
    assert CUDNN.allow_tf32
