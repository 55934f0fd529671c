"""The shipped judge reads unseen scenes; its features are those that its answers are made of."""

import hashlib

import torch

from composer_pl.evaluation.scenes.judge import (
    Judge,
    judge_digest,
    judge_file,
    load_judge,
    read_pictures,
    save_judge,
    to_side,
)
from composer_pl.evaluation.scenes.scores import scores
from composer_pl.evaluation.scenes.truth import whole_truth


def test_the_shipped_judge_reads_unseen_scenes(unseen):
    truth = whole_truth(unseen)
    reading = read_pictures(load_judge(), truth.image)
    told = {
        name: scores(name, truth.image, reading, truth, claimed=truth.pairs)[0].nanmean()
        for name in ("semantics", "depth", "instances", "sketch")
    }
    assert told["semantics"] > 0.85
    assert told["depth"] > 0.98
    assert told["instances"] > 0.6
    assert told["sketch"] > 0.95
    assert (reading.floor.argmax(1) == truth.floor).float().mean() > 0.8


def test_features_are_what_the_whole_picture_is_judged_by(unseen):
    judge, pictures = load_judge(), whole_truth(unseen).image
    features = judge.features(pictures)
    assert features.shape == (len(pictures), judge.feature_width)
    assert judge.feature_width == 256
    whole = judge.whole(features)
    torch.testing.assert_close(whole[:, :6], judge(pictures).count)


def test_the_digest_is_that_of_the_file():
    assert judge_digest() == hashlib.sha256(judge_file().read_bytes()).hexdigest()


def test_a_saved_judge_comes_back_in_half_precision(tmp_path):
    torch.manual_seed(0)
    judge = Judge(8).eval()
    save_judge(judge.state_dict(), tmp_path / "judge.safetensors")
    picture = torch.rand(2, 3, 64, 64) * 2 - 1
    loaded = load_judge(tmp_path / "judge.safetensors")
    torch.testing.assert_close(loaded(picture).pairs, judge(picture).pairs, rtol=0.02, atol=0.02)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_pictures_of_any_side_are_brought_to_the_judge():
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    assert to_side(picture) is picture
    doubled = picture.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(to_side(doubled), picture)
    flat = torch.full((1, 3, 48, 80), 0.25)
    torch.testing.assert_close(to_side(flat), torch.full((1, 3, 64, 64), 0.25))
