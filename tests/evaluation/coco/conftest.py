"""A root, models on disk, and settings that measure a handful of captions in seconds."""

from pathlib import Path

import pytest
from coco_fakes import STEPS, save_models, write_root

from composer_pl.evaluation.coco.settings import CocoSettings


@pytest.fixture
def place(tmp_path, fake_plugins):
    """`coco/` with ten pictures, `model/` and `upsampler/`."""
    write_root(tmp_path / "coco")
    save_models(tmp_path)
    return tmp_path


@pytest.fixture
def settings(place: Path):
    """`settings(guidances=(1, 3), ...)`: blocks of four, two steps."""

    def make(**changes):
        told = {
            "root": str(place / "coco"),
            "out": str(place / "out"),
            "ckpt": str(place / "model"),
            "recipe": STEPS,
            "upsampling": STEPS,
            "block": 4,
            "kid_size": 5,
            "kid_subsets": 4,
            "not_the_protocol": True,
        }
        return CocoSettings(**{**told, **changes})

    return make
