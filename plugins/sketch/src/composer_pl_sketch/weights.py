"""Where the weights of the learned edge detectors come from, as data."""

from composer_pl.plugin import WeightSpec

_RESEARCH_ONLY = "research only (MIT text headed: commercial use must be agreed with the authors)"


def _pidinet(name: str, sha256: str, size: int) -> WeightSpec:
    return WeightSpec(
        name=f"table5_{name}.pth",
        url=f"https://github.com/hellozhuo/pidinet/raw/master/trained_models/table5_{name}.pth",
        sha256=sha256,
        size=size,
        license=_RESEARCH_ONLY,
        origin="Su et al., Pixel Difference Networks, ICCV 2021; repository hellozhuo/pidinet",
    )


WEIGHTS: dict[str, WeightSpec] = {
    "pidinet": _pidinet(
        "pidinet", "80860ac267258b5f27486e0ef152a211d0b08120f62aeb185a050acc30da486c", 2871148
    ),
    "pidinet-small": _pidinet(
        "pidinet-small", "55740e3a0e6c4c3f82a921902851a86be6ad5a144db29add4ab57e1a22007f76", 765036
    ),
    "pidinet-tiny": _pidinet(
        "pidinet-tiny", "e32b23fff6c1cb9bd4385a1d615023346fc2e3f2f3a8db7f78cc4ce95a14730c", 368492
    ),
    "dexined": WeightSpec(
        name="DexiNed_BIPED_10.pth",
        url="",  # nobody published a digest, and a file that cannot be checked is not fetched
        sha256="",
        size=0,
        license="MIT",
        origin="https://huggingface.co/kornia/dexined, file DexiNed_BIPED_10.pth (Soria et al., "
        "DexiNed, WACV 2020; trained on BIPED)",
    ),
}
"""By the value of `Sketch.edges`; "canny" has none."""
