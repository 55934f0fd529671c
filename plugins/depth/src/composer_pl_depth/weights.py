"""Where the weights of the depth estimators come from, as data."""

from composer_pl.plugin import WeightSpec

# The revision that carries this digest; "main" could be changed under us.
_REVISION = "5426e4f0f36572d16453bbda7a8389317b1bef99"

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
        url="",  # no digest is known here, and a file that cannot be checked is not fetched
        sha256="",
        size=0,
        license="Apache-2.0",
        origin="huggingface.co/Intel/dpt-large, file model.safetensors (Ranftl et al., Vision "
        "Transformers for Dense Prediction, ICCV 2021; MiDaS v3)",
    ),
}
"""By the value of `Depth.model`."""
