"""`composer-pl eval coco-fid`: zero-shot FID and CLIP score on COCO; says what it needs."""

import argparse
from pathlib import Path

HELP = "Score a model: `eval coco-fid` is the paper's zero-shot COCO FID and CLIP score."

CAPTIONS = 30_000
"""Captions of COCO 2014 validation, one a picture (the protocol of GLIDE and unCLIP)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("protocol", choices=["coco-fid"], help="what to measure")
    parser.add_argument("--ckpt", default="", help="model folder or .ckpt file")
    parser.add_argument("--data.root", dest="root", default="", help="COCO root with val2014")


def run(args: argparse.Namespace) -> int:
    """Check what the protocol needs and name all that is absent.

    The generation and scoring themselves are not part of this release; nothing is reported rather
    than a number of another protocol.
    """
    from composer_pl.errors import UserInputError

    lacking = missing_for_coco_fid(args.root, args.ckpt)
    listed = "".join(f"\n  - {line}" for line in lacking)
    raise UserInputError(
        f"Measuring zero-shot COCO FID: the protocol needs{listed}\n"
        f"Next: supply these; this release checks them but does not score yet."
    )


def missing_for_coco_fid(root: str, ckpt: str) -> list[str]:
    """Every need of the protocol, each with what was found."""

    def state(path: Path) -> str:
        return "found" if path.exists() else "missing"

    base = Path(root) if root else Path("COCO")
    captions = base / "annotations" / "captions_val2014.json"
    pictures = base / "val2014"
    return [
        f"a trained model, --ckpt: {state(Path(ckpt)) if ckpt else 'not given'}",
        f"{captions} ({CAPTIONS} captions, one a picture): {state(captions)}",
        f"{pictures} (40,504 pictures at 256 px): {state(pictures)}",
        "the Inception network of clean-fid and CLIP ViT-B/32 of open_clip, from files",
        "an upsampler 64 -> 256, since the reference is at 256 px",
    ]
