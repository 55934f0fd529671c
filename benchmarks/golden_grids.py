r"""Preview grids for a reference of `composer-pl golden` whose training was no run of `fit`.

    python benchmarks/golden_grids.py scenes-64 --config configs/scenes.yaml \
        --at 3000=FOLDER --at 3340=scenes-64

Draws what `composer-pl fit` with this configuration would have drawn at those steps, by the code of
its previews and on its first held-out pictures, with the weights of model folders.
"""

import argparse

import torch

from composer_pl.cli.training import ComposerCLI
from composer_pl.data.dataset import PictureDataset, collate
from composer_pl.data.sampler import VALIDATION_EPOCH, SampleRef
from composer_pl.evaluation.golden import FOLDER
from composer_pl.files import replacing
from composer_pl.models.storage import load_model
from composer_pl.sheet import contact_sheet
from composer_pl.systems.diffusion import DiffusionSystem
from composer_pl.systems.previews import preview_rows
from composer_pl.types import Batch


def held_out(cli: ComposerCLI, count: int) -> Batch:
    """The first held-out pictures of a configuration, as its previews take them."""
    cli.datamodule.prepare_data()
    cli.datamodule.setup("validate")
    loader = cli.datamodule.val_dataloader()
    dataset = getattr(loader, "dataset", None)
    if not isinstance(dataset, PictureDataset):
        raise SystemExit("this configuration has no held-out pictures")
    return collate(dataset.__getitems__([SampleRef(VALIDATION_EPOCH, i) for i in range(count)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name")
    parser.add_argument("--config", required=True)
    parser.add_argument("--at", action="append", required=True, metavar="STEP=MODEL")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the noise, as previews.seed")
    args = parser.parse_args()
    cli = ComposerCLI("validate", ["--config", args.config])
    system = cli.model
    if not isinstance(system, DiffusionSystem):
        raise SystemExit("grids of base models only")
    batch = held_out(cli, args.pictures)
    for entry in args.at:
        step, _, model = entry.partition("=")
        system.model.load_state_dict(load_model(model).state_dict())
        system.eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):  # the precision of the configuration
            rows = preview_rows(system, batch, seed=args.seed)
        path = FOLDER / args.name / f"grid-{int(step):08d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            contact_sheet(rows, cell=max(96, batch["image"].shape[-1])).save(temporary, "PNG")
        print(path)


if __name__ == "__main__":
    main()
