"""The tiny depth estimator of procedural scenes, which this package ships: digest of its file.

`benchmarks/scene_model/install_weights.py` rewrites the two constants after training.
"""

from pathlib import Path

from composer_pl.plugin import WeightSpec

SHA256 = "efe4537a9c0be08b011ec67de390288fa4ca2c996380b5ee7a63764d01aa0824"
SIZE = 3_762_434

_NAME = "dpt-tiny-scenes.safetensors"

TINY_SCENES = WeightSpec(
    name=_NAME,
    url="",
    sha256=SHA256,
    size=SIZE,
    license="Apache-2.0",
    origin="composer-pl, trained on its own procedural scenes",
    packaged=str(Path(__file__).with_name("weights") / _NAME),
)
"""The whole network, in half precision."""
