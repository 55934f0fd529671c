r"""Copy held-out photos of a training into a folder, for `composer-pl eval control --data.root`.

    python benchmarks/photos/held_out.py --config configs/photos.yaml --config sources.yaml \
        -n 48 --out FOLDER

Evenly spaced in the order of the data module, so nothing is chosen by eye. The files are copied as
they are and keep the names of their classes.
"""

import argparse
import shutil
from pathlib import Path

import torch
import yaml

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.data.dataset import PictureDataset
from composer_pl.data.sources import SourceConfig


def held_out_files(configs: list[str], count: int) -> list[Path]:
    """Where the pictures of the validation set lie."""
    data: dict = {}
    for config in configs:
        data |= yaml.safe_load(Path(config).read_text()).get("data", {})
    sources = [SourceConfig(**source) for source in data.pop("sources")]
    module = ComposerDataModule(sources=sources, **data)
    module.setup()
    dataset = getattr(module.val_dataloader(), "dataset", None)
    if not isinstance(dataset, PictureDataset):
        raise SystemExit("these sources have no held-out pictures")
    rows = torch.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().long()
    return [Path(dataset.records[int(row)].path) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", action="append", required=True, help="the run's, in order")
    parser.add_argument("-n", type=int, default=48)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for file in held_out_files(args.config, args.n):
        shutil.copyfile(file, args.out / f"{file.parent.name}-{file.name}")


if __name__ == "__main__":
    main()
