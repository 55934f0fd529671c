import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def gradient() -> Callable[..., Image.Image]:
    """An RGB picture whose red grows to the right, green downwards; blue tells pictures apart."""

    def make(width: int = 48, height: int = 40, blue: int = 128) -> Image.Image:
        red = np.broadcast_to(np.linspace(0, 255, width), (height, width))
        green = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
        rgb = np.stack([red, green, np.full((height, width), float(blue))], axis=-1)
        return Image.fromarray(rgb.round().astype(np.uint8))

    return make


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """The bytes of a picture file."""

    def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def eight(tmp_path: Path, gradient: Callable[..., Image.Image]) -> Path:
    """A folder of eight pictures with captions beside them."""
    root = tmp_path / "eight"
    root.mkdir()
    for number in range(8):
        gradient(blue=number * 30).save(root / f"p{number}.png")
        (root / f"p{number}.txt").write_text(f"picture {number}\n")
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("COMPOSER_PL_TEST_DATA")
    if not folder:
        pytest.skip("COMPOSER_PL_TEST_DATA names no folder of real photos")
    return Path(folder)
