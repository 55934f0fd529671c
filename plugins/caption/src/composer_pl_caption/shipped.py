"""The tiny CLIP of procedural scenes, which this package ships: digests of its file.

`benchmarks/scene_model/install_weights.py` rewrites the three constants after training.
"""

from pathlib import Path

from composer_pl.plugin import WeightSpec

SHA256 = "4dd62c4796f7c11d1a5fca4c182adc139f0870a809c7253e2dd2106adb9b97f0"
SIZE = 4_200_006
MADE_OF = "d6c40cd74c7e3482beb7568e8d1bf40dde31d2edd38bc981e81d0a7c50e07d3d"
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
