"""What zero-shot FID and CLIP score on COCO need, checked before anything is generated.

The protocol is that of GLIDE and unCLIP, which the paper follows: 30,000 captions of COCO 2014
validation, one a picture, against the whole validation set at 256 px. The paper reports FID 9.2
and CLIP score 0.28.
"""

from dataclasses import dataclass
from pathlib import Path

CAPTIONS = 30_000
PICTURES = 40_504
"""Pictures of COCO 2014 validation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """One thing that the protocol needs.

    Attributes:
        what: In words, with the place where it was looked for.
        found: Whether it is there.
    """

    what: str
    found: bool


def needs(root: str, ckpt: str) -> list[Need]:
    """List every need of the protocol and whether it is met.

    Args:
        root: COCO root as it lies on disk; empty when none was given.
        ckpt: Model folder or checkpoint; empty when none was given.
    """
    base = Path(root or "COCO")
    captions = base / "annotations" / "captions_val2014.json"
    pictures = base / "val2014"
    there = sum(1 for _ in pictures.glob("*.jpg")) if pictures.is_dir() else 0
    return [
        Need(what="a trained model, --ckpt", found=bool(ckpt) and Path(ckpt).exists()),
        Need(what=f"{captions} ({CAPTIONS} captions, one a picture)", found=captions.is_file()),
        Need(what=f"{pictures} ({PICTURES} pictures, {there} there)", found=there == PICTURES),
        Need(what="an upsampler 64 -> 256 px, since the reference is at 256 px", found=False),
        Need(what="the networks of FID (Inception) and CLIP score (ViT-B/32)", found=False),
    ]
