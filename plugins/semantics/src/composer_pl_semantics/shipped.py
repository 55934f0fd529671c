"""The tiny CLIP of procedural scenes, which this package ships: digests of its file.

`benchmarks/scene_model/install_weights.py` rewrites the three constants after training.
"""

from pathlib import Path

from composer_pl.plugin import WeightSpec

SHA256 = "b65a0456ce83dfa7f870afe016ffc7291b13d7b2dfa82052be88096f4b27a781"
SIZE = 3_235_344
MADE_OF = "0d4cad6a605f4f507e023798a56055493fd33e717f72cd87fb68bf91a43ac2b2"
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
