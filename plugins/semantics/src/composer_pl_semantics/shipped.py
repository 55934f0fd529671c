"""The tiny CLIP of procedural scenes, which this package ships: digests of its file.

`benchmarks/scene_model/install_weights.py` rewrites the three constants after training.
"""

from pathlib import Path

from composer_pl.plugin import WeightSpec

SHA256 = "1b407ccb96b143b5fd58bed7346d07ebce92bd529567b63c86e9fb3ffa6971cf"
SIZE = 3_235_344
MADE_OF = "d6c40cd74c7e3482beb7568e8d1bf40dde31d2edd38bc981e81d0a7c50e07d3d"
"""sha256 of the trained state, which caption and semantics share while their files differ."""

_NAME = "clip-tiny-scenes-visual.safetensors"

TINY_SCENES = WeightSpec(
    name=_NAME,
    url="",
    sha256=SHA256,
    size=SIZE,
    license="Apache-2.0",
    origin="composer-pl, trained on its own procedural scenes",
    packaged=str(Path(__file__).with_name("weights") / _NAME),
)
"""The image tower alone, in half precision."""
