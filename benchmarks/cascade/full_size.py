"""Whether a stage that learned on crops holds at full size: attention's reach, tiles, seams.

    python benchmarks/cascade/full_size.py --bank BANK --stage 256 scenes-256 --out FILE

One sample of each unseen scene from the same noise: with each reach of attention, whole; in tiles;
and crop by crop, each blind to its neighbours, which is what training saw and must show seams, so
that the measure of seams is seen to work. *Seam* is the mean step between neighbouring pixels
across the lines where crops of the trained side meet, over that across other borders of the
network's patches, over the same of the true pictures: 1 is no seam. *Grid* is the same of all
borders of patches over the lines inside them.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from cascade_measures import consistency, patch_distance, psnr
from measure_cascade import load, read, smaller
from torch import Tensor

from composer_pl.backbones.attention import Reach
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel, requantised
from composer_pl.models.upsampling import upsample

REACHES: tuple[Reach, ...] = ("windows", "log", "all")


def with_reach(model: UpsamplerModel, reach: Reach) -> UpsamplerModel:
    """The same weights, another reach of attention."""
    config = replace(model.config, attention_reach=reach)
    other = UpsamplerModel(config, model.process_config, {}, model.upsampling)
    other.load_state_dict(model.state_dict())
    return other.eval().requires_grad_(False)


def step_ratio(pictures: Tensor, every: int, beside: int) -> Tensor:
    """Mean step across the lines at multiples of `every`, over that at other multiples of `beside`.

    Returns:
        One number a picture, mean of both directions.
    """
    ratios = []
    for steps in (pictures.diff(dim=3).abs(), pictures.diff(dim=2).abs().mT):
        column = steps.mean((1, 2))  # of each picture, one number a line
        line = torch.arange(1, column.shape[1] + 1)
        chosen = line % every == 0
        others = (line % beside == 0) & ~chosen
        ratios.append(column[:, chosen].mean(1) / column[:, others].mean(1))
    return torch.stack(ratios).mean(0)


def crop_by_crop(
    draw: Callable[[Tensor, Tensor], Tensor], low: Tensor, keys: Tensor, side: int
) -> Tensor:
    """Each crop of `side` small pixels drawn alone, and put side by side."""
    rows = []
    for top in range(0, low.shape[2], side):
        lefts = range(0, low.shape[3], side)
        cut = [low[:, :, top : top + side, left : left + side] for left in lefts]
        rows.append(torch.cat([draw(part, keys) for part in cut], 3))
    return torch.cat(rows, 2)


def measure(
    model: UpsamplerModel, truth: Tensor, *, steps: int, trained: int
) -> dict[str, dict[str, float]]:
    """Rows of the table, by name.

    Args:
        model: The stage.
        truth: `(n, 3, s, s)` in [-1, 1], the stage's full size.
        steps: Of sampling.
        trained: Side of the crops that it learned on.
    """
    factor = model.upsampling.factor
    low, keys = smaller(truth, factor), sample_keys(0, len(truth))
    recipe = SamplingRecipe(steps=steps, guidance=1.0, max_batch=1)

    def draw(
        part: Tensor, keys: Tensor, *, network: UpsamplerModel = model, tile: int = 0
    ) -> Tensor:
        tiling = Tiling(side=tile, overlap=tile // 4) if tile else None
        return requantised(upsample(network, part, recipe, keys=keys, tiling=tiling))

    found = {
        f"whole, attention: {reach}": draw(low, keys, network=with_reach(model, reach))
        for reach in REACHES
    }
    for tile in (trained, 2 * trained):
        found[f"tiles of {tile} px"] = draw(low, keys, tile=tile)
    found[f"crops of {trained} px, each alone"] = crop_by_crop(draw, low, keys, trained // factor)
    patch = model.config.patch_size

    def beside_truth(pictures: Tensor, every: int, beside: int) -> float:
        natural = step_ratio(truth, every, beside)
        return float((step_ratio(pictures, every, beside) / natural).mean())

    return {
        name: {
            "psnr": float(psnr(pictures, truth).mean()),
            "consistency": float(consistency(pictures, low).mean()),
            "patches": patch_distance(pictures, truth),
            "seam": beside_truth(pictures, trained, patch),
            "grid": beside_truth(pictures, patch, 1),
        }
        for name, pictures in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bank", type=Path, required=True, help="what render_scenes.py wrote")
    parser.add_argument("--stage", nargs=2, required=True, metavar=("SIDE", "MODEL"))
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    model = load(args.stage[1])
    truth = read(args.bank / "unseen-1024", int(args.stage[0]), args.pictures)
    trained = model.config.trained_side or int(args.stage[0]) // 4
    rows = measure(model, truth, steps=args.steps, trained=trained)
    told = {"stage": args.stage[1], "side": int(args.stage[0]), "trained on crops of": trained}
    told |= {"pictures": len(truth), "steps": args.steps}
    rounded = {name: {k: round(v, 3) for k, v in row.items()} for name, row in rows.items()}
    args.out.write_text(json.dumps(told | {"rows": rounded}, indent=1) + "\n")
    for name, row in rounded.items():
        print(name, row)


if __name__ == "__main__":
    main()
