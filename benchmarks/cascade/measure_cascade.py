"""The cascade on unseen scenes: measures beside bicubic interpolation, and its peak memory.

`measure_cascade.py quality --bank BANK --weights PIDINET --stage 256 MODEL` measures one upsampler;
`measure_cascade.py memory --stage 256 MODEL --stage 1024 MODEL [--tile 256]` runs 64 -> 256 -> 1024
px and prints the peak of its process's resident memory. A model is a folder or a checkpoint; a file
of `configs/` in its place is one with fresh weights, which memory and time do not depend on, with
`--set` overrides of it, as of `fit`.
"""

import argparse
import json
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cascade_measures import PerceptualDistance, consistency, patch_distance, psnr, sharpness
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.utils import save_image

from composer_pl.models.cascade import upsample_in_stages
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.storage import load_upsampler
from composer_pl.models.tiling import Tiling
from composer_pl.models.upsampler import UpsamplerModel, requantised
from composer_pl.models.upsampling import upsample


def read(folder: Path, side: int, count: int) -> Tensor:
    """The largest squares of a folder's first pictures, at a side, in [-1, 1]."""
    pictures = []
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg"))
    for path in paths[:count]:
        image = ImageOps.fit(
            Image.open(path).convert("RGB"), (side, side), Image.Resampling.BICUBIC
        )
        pictures.append(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(pictures)


def smaller(pictures: Tensor, factor: int) -> Tensor:
    """As training makes them small."""
    return requantised(
        F.interpolate(pictures, scale_factor=1 / factor, mode="bicubic", antialias=True)
    )


def load(path: str, overrides: Sequence[str] = ()) -> UpsamplerModel:
    if path.endswith(".yaml"):
        from composer_pl.cli.fit import configured
        from composer_pl.cli.planners import upsampler_settings

        config = configured(["--config", path, *overrides], prog="measure").config
        backbone, process, upsampling = upsampler_settings(config["model"].as_dict())
        model = UpsamplerModel(backbone, process, {}, upsampling)
        return model.eval().requires_grad_(False)
    return load_upsampler(path)


def quality(args: argparse.Namespace) -> dict[str, object]:
    """Measures of one upsampler and of bicubic interpolation on the same small pictures."""
    (side, path), *_ = args.stage
    model, distance = load(path), PerceptualDistance(args.weights)
    truth = read(args.photos or args.bank / "unseen-1024", int(side), args.pictures)
    low = smaller(truth, model.upsampling.factor)
    recipe = SamplingRecipe(steps=args.steps, guidance=1.0, max_batch=args.batch)
    tiling = Tiling(side=args.tile, overlap=args.tile // 4) if args.tile else None
    start = time.perf_counter()
    samples = [
        requantised(upsample(model, low, recipe, keys=sample_keys(seed, len(low)), tiling=tiling))
        for seed in range(args.samples)
    ]
    seconds = (time.perf_counter() - start) / (args.samples * len(low))
    rows = {
        "model": samples[0],
        f"mean of {args.samples} samples": torch.stack(samples).mean(0),
        "bicubic": requantised(model.enlarge(low)),
    }
    if args.sheet is not None:
        shown = torch.cat([truth, rows["bicubic"], rows["model"]])
        save_image((shown + 1) / 2, args.sheet, nrow=len(truth), padding=2)
    return {
        "side": int(side),
        "pictures": len(truth),
        "steps": args.steps,
        "tile": args.tile,
        "seconds_a_picture": round(seconds, 1),
        "perceptual": PerceptualDistance.NAME,
        "rows": {name: summary(found, truth, low, distance) for name, found in rows.items()},
    }


def summary(
    found: Tensor, truth: Tensor, low: Tensor, distance: PerceptualDistance
) -> dict[str, float]:
    """Means over pictures."""
    columns = {
        "perceptual": distance(found, truth).mean(),
        "patches": patch_distance(found, truth),
        "sharpness": sharpness(found, truth).mean(),
        "consistency": consistency(found, low).mean(),
        "psnr": psnr(found, truth).mean(),
    }
    return {name: round(float(value), 4) for name, value in columns.items()}


def memory(args: argparse.Namespace) -> dict[str, object]:
    """Run the whole cascade and tell the largest resident memory of this process."""
    words = [f"--{setting}" for setting in args.set]
    models = [load(path, words) for _, path in args.stage]
    before = peak()
    low = torch.rand(args.pictures, 3, *[models[0].low_resolution] * 2) * 2 - 1
    if args.bank is not None:
        low = read(args.bank / "unseen-1024", models[0].low_resolution, args.pictures)
    recipe = SamplingRecipe(steps=args.steps, guidance=1.0, max_batch=1)
    tiling = Tiling(side=args.tile, overlap=args.tile // 4) if args.tile else None
    tilings = [*[None] * (len(models) - 1), tiling]  # the last stage is the large one
    start = time.perf_counter()
    found = upsample_in_stages(models, low, recipe, keys=sample_keys(0, len(low)), tilings=tilings)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(found):
            pixels = ((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
            Image.fromarray(pixels.numpy()).save(args.out / f"cascade-{number}.png")
    return {
        "sides": [models[0].low_resolution, *(model.config.resolution for model in models)],
        "steps": args.steps,
        "tile": args.tile,
        "parameters": [sum(p.numel() for p in model.parameters()) for model in models],
        "peak_before_gib": round(before, 2),
        "peak_gib": round(peak(), 2),
        "seconds_a_picture": round((time.perf_counter() - start) / len(low), 1),
    }


def peak() -> float:
    """Largest resident memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quality", "memory"))
    parser.add_argument("--bank", type=Path, help="what render_scenes.py wrote")
    parser.add_argument("--photos", type=Path, help="a folder of pictures in place of the bank's")
    parser.add_argument("--sheet", type=Path, help="of `quality`: truth, bicubic, one sample")
    parser.add_argument("--weights", type=Path, help="table5_pidinet-small.safetensors")
    parser.add_argument(
        "--stage", nargs=2, action="append", required=True, metavar=("SIDE", "MODEL")
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tile", type=int, default=0, help="side of tiles; 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the pictures of `memory` here")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    print(json.dumps({"quality": quality, "memory": memory}[args.what](args), indent=1))


if __name__ == "__main__":
    main()
