"""Render the scenes of the cascade's benchmark into folders of PNG files; resumable.

`python benchmarks/cascade/render_scenes.py FOLDER` writes `train-256`, `unseen-1024` and
`train-1024`. The scenes of training and of the test come from different seeds.
"""

import argparse
from pathlib import Path

from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.source import SceneConfig, SceneSource
from composer_pl.files import replacing

FOLDERS = {"train-256": (256, 1), "unseen-1024": (1024, 4), "train-1024": (1024, 3)}
"""Name -> side in pixels, seed of the scenes; the shipped stages learned from 1, 2, 6 and 7."""


def write(folder: Path, size: int, seed: int, count: int) -> None:
    source = SceneSource(
        SceneConfig(count=count, size=size, seed=seed, rules=SceneRules(max_objects=3))
    )
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"{number:05d}.png"
        if not path.exists():
            with replacing(path) as temporary:
                source.make(number, 0).image.save(temporary, format="PNG")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, count in (("train-256", 200), ("unseen-1024", 8), ("train-1024", 16)):
        parser.add_argument(f"--{name}", type=int, default=count, help="scenes; 0 for none")
    args = parser.parse_args()
    for name, (size, seed) in FOLDERS.items():
        if count := getattr(args, name.replace("-", "_")):
            write(args.folder / name, size, seed, count)


if __name__ == "__main__":
    main()
