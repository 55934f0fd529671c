"""The tiny CLIP of procedural scenes, which this package ships: digests of its file.

`benchmarks/scene_model/install_weights.py` rewrites the three constants after training.
"""

from pathlib import Path

from composer_pl.plugin import WeightSpec

SHA256 = "54cef3f9e872a1efeaf7204a1e4758c1b0b6c96cff7a9681bfdc4d7b18695041"
SIZE = 4_200_006
MADE_OF = "0d4cad6a605f4f507e023798a56055493fd33e717f72cd87fb68bf91a43ac2b2"
"""sha256 of the trained state, which caption and semantics share while their files differ."""

_NAME = "clip-tiny-scenes.safetensors"

TINY_SCENES = WeightSpec(
    name=_NAME,
    url="",
    sha256=SHA256,
    size=SIZE,
    license="Apache-2.0",
    origin="composer-pl, trained on its own procedural scenes",
    packaged=str(Path(__file__).with_name("weights") / _NAME),
)
"""Both towers, in half precision."""
