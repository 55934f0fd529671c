"""G4: palette histograms a second, against a float64 per-pixel reference of the same definition.

    OMP_NUM_THREADS=1 python benchmarks/palette_histogram.py [PICTURE_OR_FOLDER ...] [--json FILE]

Without pictures, scikit-image's bundled photos are used; if those are absent too, generated ones.
One thread, CPU time, 256 x 256, one picture a call, interleaved rounds with reversed order; the
speed is the median of the ratios of each round. Goal: 100x at an L1 below 5e-3.

Four ways, all of the same definition (nearest reference colour in CIELab, then smoothing):
`reference` is the formula as written, differences squared and summed; `reference_product` expands
the square into a matrix product, which is the fastest exact form NumPy has; `comparing` is the
plugin before its table pays, `table` the plugin from then on.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from composer_pl_color.codebook import BINS, reference_rgb
from composer_pl_color.palette import PaletteExtractor, color_table

SIDE = 256
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def lab_float64(rgb: np.ndarray) -> np.ndarray:
    """`(n, 3)` sRGB in [0, 1] -> Lab in float64, independent of the plugin's code."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = np.array(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    t = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116).T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=1)


class Reference:
    """The definition in float64 NumPy: all distances of all pixels, nearest, smooth, cut."""

    def __init__(self, *, product: bool, sigma: float = 10.0):
        self.product = product
        self.colors = lab_float64(reference_rgb().numpy())
        squared = ((self.colors[:, None] - self.colors) ** 2).sum(2)
        weights = np.exp(-squared / (2 * sigma**2))
        self.weights = weights / weights.sum(1, keepdims=True)

    def __call__(self, image: Tensor) -> np.ndarray:
        pixels = image[0].permute(1, 2, 0).reshape(-1, 3).double().numpy() / 2 + 0.5
        lab = lab_float64(pixels)
        nearest = [self.nearest(rows) for rows in np.split(lab, 16)]  # 80 MB less at once
        histogram = np.bincount(np.concatenate(nearest), minlength=BINS) / len(lab)
        smoothed = self.weights @ histogram
        smoothed[smoothed < 1e-5] = 0
        return smoothed / smoothed.sum()

    def nearest(self, lab: np.ndarray) -> np.ndarray:
        if not self.product:
            return ((lab[:, None] - self.colors) ** 2).sum(2).argmin(1)
        colors = self.colors
        squared = (lab**2).sum(1)[:, None] - 2 * lab @ colors.T + (colors**2).sum(1)
        return squared.argmin(1)


def pictures(places: list[Path]) -> tuple[str, list[Tensor]]:
    """Return what was used, and pictures `(1, 3, 256, 256)` in [-1, 1]."""
    if places:
        files = [file for place in places for file in walk(place)]
        return f"{len(files)} files", [load(Image.open(file)) for file in files]
    try:
        from skimage import data

        names = ("astronaut", "chelsea", "coffee", "rocket", "cat", "retina", "lily")
        found = []
        for name in names:
            try:
                found.append(load(Image.fromarray(getattr(data, name)()[..., :3])))
            except (AttributeError, OSError, ImportError, ValueError):
                continue  # not bundled with this version
        if found:
            return f"{len(found)} photos of scikit-image", found
    except ImportError:
        pass
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((8, 3, 8, 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=SIDE, mode="bicubic").clamp(0, 1)
    return "8 generated pictures", list(((smooth * 255).round() / 127.5 - 1).split(1))


def walk(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES)
    else:
        yield place


def load(picture: Image.Image) -> Tensor:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.convert("RGB").crop((left, top, left + side, top + side))
    levels = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    # contiguous, as a loader's collation makes it
    return torch.tensor(levels).permute(2, 0, 1)[None].contiguous() / 127.5 - 1


def cpu_seconds(function: Callable[[Tensor], object], images: list[Tensor]) -> float:
    start = time.process_time()
    for image in images:
        function(image)
    return (time.process_time() - start) / len(images)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", type=Path, help="pictures or folders of pictures")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--most", type=int, default=40, help="pictures used at most")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    try:
        used, images = pictures(arguments.places)
    except (OSError, UnidentifiedImageError) as error:
        parser.error(f"reading the pictures: {error}")
    if not images:
        parser.error("reading the pictures: found none")
    images = images[:: max(1, len(images) // arguments.most)][: arguments.most]

    torch.set_num_threads(1)
    start = time.process_time()
    color_table()
    build = time.process_time() - start
    ways: dict[str, Callable[[Tensor], object]] = {
        "reference": Reference(product=False),
        "reference_product": Reference(product=True),
        "comparing": PaletteExtractor(10.0, table=False),
        "table": PaletteExtractor(10.0, table=True),
    }

    # a speed check without an equality check says nothing
    truth = [ways["reference"](image) for image in images]
    errors = {
        name: [
            float(np.abs(ways[name](image)[0].double().numpy() - expected).sum())
            for image, expected in zip(images, truth, strict=True)
        ]
        for name in ("comparing", "table")
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(arguments.rounds):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            seconds[name].append(cpu_seconds(ways[name], images))

    result = {
        "pictures": f"{used}, {len(images)} used",
        "rounds": arguments.rounds,
        "table_build_s": round(build, 2),
    }
    for name in ways:
        ratios = [a / b for a, b in zip(seconds["reference"], seconds[name], strict=True)]
        result[name] = {
            "pictures_per_s": round(1 / statistics.median(seconds[name]), 1),
            "times_reference": round(statistics.median(ratios), 1),
            "range_of_rounds": [round(min(ratios), 1), round(max(ratios), 1)],
            "l1_mean": float(np.mean(errors.get(name, [0.0]))),
            "l1_max": float(np.max(errors.get(name, [0.0]))),
        }
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    table = result["table"]
    reached = table["times_reference"] >= 100 and table["range_of_rounds"][0] >= 90
    return 0 if reached and table["l1_max"] < 5e-3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
