"""A tiny COCO root, a tiny model that reads captions, and networks that need no weights."""

import json
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from fakes import FakeCaption, FakeGlobal
from PIL import Image
from tiny import TINY, UPSAMPLER

from composer_pl.composing.composer import Composer
from composer_pl.diffusion.process import ProcessConfig
from composer_pl.evaluation.coco.drawing import CaptionArtist
from composer_pl.evaluation.coco.run import CocoRun
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.storage import save_model
from composer_pl.models.upsampler import UpsamplerModel
from composer_pl.models.upsampling_config import UpsamplingConfig

WORDS = ("a bad cafe", "big egg", "faded head", "a cab", "deaf badge", "ebb")
STEPS = SamplingRecipe(steps=2, max_batch=4)


def write_root(root, count=10, *, split="val2014", per_picture=2, side=40):
    """Pictures and annotations of a split; returns what the annotation file holds."""
    (root / split).mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    draws = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, count + 1):
        name = f"COCO_{split}_{number:012d}.png"
        pixels = draws.integers(0, 255, (side, side + number % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / split / name)
        images.append({"id": 10 * number, "file_name": name})
        for k in range(per_picture):
            text = f"{WORDS[(number + k) % len(WORDS)]} {'abcdefgh'[number % 8] * k}"
            entry = {"id": 1000 * (k + 1) + number, "image_id": 10 * number, "caption": text}
            annotations.append(entry)
    content = {"images": images, "annotations": annotations}
    write_annotations(root, content, split=split)
    return content


def write_annotations(root, content, *, split="val2014"):
    """Replace the captions of a split."""
    file = root / "annotations" / f"captions_{split}.json"
    file.write_text(json.dumps(content))


def make_model(conditions=None, seed=0):
    """An untrained model whose answers depend on its conditions."""
    torch.manual_seed(seed)
    named = {"caption": FakeCaption(), "color": FakeGlobal()} if conditions is None else conditions
    model = ComposerModel(TINY, ProcessConfig(prediction="v"), named)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def make_upsampler():
    """An untrained upsampler behind it, to 32 px."""
    torch.manual_seed(1)
    process = ProcessConfig(prediction="v")
    model = UpsamplerModel(UPSAMPLER, process, {}, UpsamplingConfig())
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model


def save_models(folder):
    """`model` and `upsampler` as folders."""
    Composer(make_model()).save_pretrained(folder / "model")
    save_model(make_upsampler(), folder / "upsampler")


@cache
def artist(*, enlarged=False):
    """What `load_artist` makes of the saved models, loaded once."""
    upsampler = make_upsampler() if enlarged else None
    return CaptionArtist(Composer(make_model(), upsampler=upsampler))


def begun(settings, scorers=None, *, enlarged=False):
    """A run with the fakes, its folders made."""
    scorers = (FakeFeatures(), FakeClip()) if scorers is None else scorers
    run = CocoRun(settings, artist=artist(enlarged=enlarged), scorers=scorers)
    run.begin()
    return run


@dataclass(frozen=True)
class FakeFeatures:
    """Mean colours of the four quarters of a picture."""

    name: str = "tiny"
    kind: str = "features"
    slug: str = "fake-features"
    published: bool = False

    @property
    def facts(self):
        return {"name": self.name, "digest": "0" * 64, "resize": "none"}

    def __call__(self, pictures, captions):
        small = torch.nn.functional.adaptive_avg_pool2d(pictures.float() / 255, 2)
        return small.flatten(1)


@dataclass(frozen=True)
class FakeClip:
    """A number in [-1, 1] of a picture and the length of its caption."""

    name: str = "clip:ViT-B-32"
    kind: str = "clip"
    slug: str = "fake-clip"
    published: bool = True

    @property
    def facts(self):
        return {"name": self.name, "digest": "1" * 64, "resize": "none"}

    def __call__(self, pictures, captions):
        lengths = torch.tensor([float(len(text)) for text in captions])
        return torch.sin(pictures.float().mean((1, 2, 3)) + lengths)[:, None]
