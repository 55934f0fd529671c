"""What resize, antialias and JPEG do to the FID of one and the same set of photos.

    python benchmarks/fid/preprocessing.py PHOTOS [--features SPEC ...] [--count 200] [--json FILE]

Photos are cut to a square and brought to 256 px, as the protocol on COCO does, and their features
are taken. The reference does both with antialiased bicubic and keeps them lossless. Each row
changes one thing and gives (a) the Frechet distance of the changed photos to the reference of the
same photos, which should be zero, and (b) the distance between two halves of the photos, the first
changed and the second not. Both are divided by the distance of the halves with nothing changed.

`--features random` is an untrained Inception (needs torch-fidelity); `tiny` is the default. Their
numbers compare only among themselves; which rows matter is the same for trained ones.
"""

import argparse
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from composer_pl.evaluation.metrics.features import PictureFeatures, feature_network
from composer_pl.evaluation.metrics.frechet import Moments, frechet_distance
from composer_pl.evaluation.metrics.resizing import RESIZES

SIDE = 256
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def square(path: Path) -> Image.Image:
    """The middle square of a photo, at its own resolution."""
    photo = Image.open(path).convert("RGB")
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return photo.crop((left, top, left + side, top + side))


def antialiased(photo: Image.Image) -> Image.Image:
    """As the reference does it."""
    return photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def aliased(photo: Image.Image) -> Image.Image:
    """Bilinear from four neighbours alone, as `interpolate` and OpenCV do unless told otherwise."""
    pixels = torch.tensor(np.asarray(photo)).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear")
    return Image.fromarray(small[0].permute(1, 2, 0).round().byte().numpy())


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    """The reference, then stored as JPEG and read again."""

    def change(photo: Image.Image) -> Image.Image:
        stored = io.BytesIO()
        antialiased(photo).save(stored, "JPEG", quality=quality)
        return Image.open(stored).convert("RGB")

    return change


PREPARATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as the reference": antialiased,
    "stored as JPEG, quality 95": jpeg(95),
    "stored as JPEG, quality 75": jpeg(75),
    "brought to 256 px without antialias": aliased,
}


def moments(features: Tensor) -> Moments:
    """Of one set; what differs on purpose carries no digest."""
    found = Moments()
    found.update(features)
    return found


def measure(network: PictureFeatures, photos: list[Image.Image]) -> list[dict[str, object]]:
    """One row a change, with (a) and (b) of the module's text."""
    prepared = {
        name: torch.stack([torch.tensor(np.asarray(prepare(photo))) for photo in photos])
        for name, prepare in PREPARATIONS.items()
    }
    sets = {name: rows.permute(0, 3, 1, 2) for name, rows in prepared.items()}
    reference = sets.pop("as the reference")
    changes = {
        f"features from resize {how!r}: {words}": (replace(network, resize=how), reference)
        for how, words in RESIZES.items()
        if how != network.resize
    }
    changes |= {name: (network, pictures) for name, pictures in sets.items()}
    half = len(photos) // 2
    features = network(reference)
    whole, second = moments(features), moments(features[half:])
    unchanged = frechet_distance(moments(features[:half]), second)
    rows: list[dict[str, object]] = [{"change": "none", "to itself": 0.0, "of halves": 1.0}]
    for name, (changed, pictures) in changes.items():
        features = changed(pictures)
        rows.append(
            {
                "change": name,
                "to itself": frechet_distance(moments(features), whole) / unchanged,
                "of halves": frechet_distance(moments(features[:half]), second) / unchanged,
            }
        )
    return rows


def load(spec: str, folder: Path) -> PictureFeatures:
    """A feature network with the reference's resize."""
    if spec != "random":
        return feature_network(spec, resize="clean")
    from untrained import write_state

    return feature_network(f"inception:{write_state(folder)}", resize="clean")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("photos", type=Path, help="a folder of photos, larger than 256 px")
    options.add_argument("--features", nargs="+", default=["tiny"], metavar="SPEC")
    options.add_argument("--count", type=int, default=200, help="photos (default 200)")
    options.add_argument("--json", type=Path, help="also write the numbers to this file")
    given = options.parse_args()
    torch.set_num_threads(1)
    paths = sorted(p for p in given.photos.rglob("*") if p.suffix.lower() in SUFFIXES)
    paths = paths[: given.count]
    if len(paths) < 20:
        options.error(f"{given.photos}: expected at least 20 photos, found {len(paths)}")
    photos = [square(path) for path in paths]
    record: dict[str, object] = {"photos": len(photos), "side": SIDE}
    for spec in given.features:
        with tempfile.TemporaryDirectory() as folder:
            network = load(spec, Path(folder))
            rows = measure(network, photos)
        record[spec] = {"network": network.describe(), "rows": rows}
        print(f"\n{spec}, {len(photos)} photos of {SIDE} px; divided by the distance of two halves")
        print(f"\n| change | to the same photos | of halves |\n| {'--- | ' * 3}".rstrip())
        for row in rows:
            print(f"| {row['change']} | {row['to itself']:.4f} | {row['of halves']:.4f} |")
    if given.json is not None:
        given.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
