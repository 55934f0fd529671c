"""Where the weights of the depth estimators come from, as data."""

from composer_pl.plugin import WeightSpec
from composer_pl_depth.shipped import TINY_SCENES

# The revisions that carry these digests; "main" could be changed under us.
_REVISION = "5426e4f0f36572d16453bbda7a8389317b1bef99"
_DPT_REVISION = "cc27b92e869fc79f52a0241addbbcd1579b66b11"

WEIGHTS: dict[str, WeightSpec] = {
    "depth-anything-v2-small": WeightSpec(
        name="depth-anything-v2-small.safetensors",
        url="https://huggingface.co/depth-anything/Depth-Anything-V2-Small-hf/resolve/"
        f"{_REVISION}/model.safetensors",
        sha256="3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70",
        size=99173660,
        license="Apache-2.0",
        origin="Yang et al., Depth Anything V2, NeurIPS 2024; depth-anything on Hugging Face",
    ),
    "dpt-large": WeightSpec(
        name="dpt-large.safetensors",
        url=f"https://huggingface.co/Intel/dpt-large/resolve/{_DPT_REVISION}/model.safetensors",
        sha256="c173e7fd575c4d6c2164621063fed3a0e7e2eb6adbfb7c1845b364bc0fed9ce8",
        size=1_370_000_000,  # as the file's page rounds it; the digest is what is checked
        license="Apache-2.0",
        origin="Ranftl et al., Vision Transformers for Dense Prediction, ICCV 2021 (MiDaS v3); "
        "Intel on Hugging Face",
    ),
    "tiny-scenes": TINY_SCENES,
}
"""By the value of `Depth.model`."""
