"""How well DDIM inversion holds a picture: invert under c1, draw under the same c1, compare.

    python benchmarks/tasks/inversion.py [--model scenes-64] [-n 16] [--steps 50 200] [--bfloat16]

Unseen scenes at the model's size. Sets c1: `all` conditions but masking (strong), `caption` (weak),
`none`. Against the same conditions with random noise in place of the inverted one, which is what
the conditions alone hold; and against diffusers' DDIMInverseScheduler and DDIMScheduler around the
same network, both at their default spacing ("leading") and at "trailing", which like ours ends at
the last timestep. PSNR in dB with 95% bootstrap over pictures. Writes inversion.json and
inversion.md, a line as soon as it is measured, and a sheet.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
from bootstrap import mean_interval
from corpus import UNSEEN, build_corpus
from drawing import extraction_of, values_of

from composer_pl.evaluation.plain import psnr
from composer_pl.evaluation.scenes.truth import small
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import invert, row_encoder, sample, sample_keys
from composer_pl.models.storage import load_model
from composer_pl.sheet import Panel, contact_sheet

HERE = Path(__file__).parent
SETS = {"all": "all but masking", "caption": "caption", "none": "nothing"}
OURS, RANDOM, LEADING, TRAILING = "inverted", "random noise", "diffusers", "diffusers, trailing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="scenes-64", help="a shipped model or a folder")
    parser.add_argument("-n", type=int, default=16, help="unseen scenes")
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on some CPUs")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    # diffusers turns tensors into arrays in a way that numpy 2 deprecates.
    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
    model = load_model(args.model).eval()
    corpus = build_corpus(range(UNSEEN, UNSEEN + args.n))
    truth = small(corpus.pixels)
    values = values_of(extraction_of(model), corpus.pixels, [t[0] for t in corpus.texts], seed=1)
    sets = {
        "all": {name: value for name, value in values.items() if name != "masking"},
        "caption": {"caption": values["caption"]},
        "none": {},
    }
    lines, kept, began = [], {}, time.monotonic()
    for steps in args.steps:
        for name, given in sets.items():
            ways: dict[str, Callable[[], Tensor]] = {
                OURS: lambda g=given, s=steps: round_trip(model, truth, g, s),
                RANDOM: lambda g=given, s=steps: from_noise(model, g, s, args.n),
                LEADING: lambda g=given, s=steps: diffusers_trip(model, truth, g, s, "leading"),
                TRAILING: lambda g=given, s=steps: diffusers_trip(model, truth, g, s, "trailing"),
            }
            for way, draw in ways.items():
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                    pictures = draw().float()
                score = mean_interval(psnr(pictures, truth))
                lines.append({"steps": steps, "c1": name, "from": way, "psnr": score})
                kept[steps, name, way] = pictures
                print(f"{time.monotonic() - began:5.0f} s", lines[-1], flush=True)
                write(args, lines)
    sheet(args.out, truth, kept, args.steps)


def recipe_of(steps: int, n: int) -> SamplingRecipe:
    return SamplingRecipe(sampler="ddim", steps=steps, guidance=1.0, clip_x_0=False, max_batch=n)


def round_trip(model: ComposerModel, truth: Tensor, given: dict[str, Tensor], steps: int) -> Tensor:
    """Walk pictures back and draw them again, as `Composer.invert` and `compose` do."""
    n = len(truth)
    recipe = recipe_of(steps, n)
    noise = invert(model, truth, given, recipe)
    size = (truth.shape[2], truth.shape[3])
    return sample(model, given, recipe, keys=sample_keys(0, n), size=size, noise=noise)


def from_noise(model: ComposerModel, given: dict[str, Tensor], steps: int, n: int) -> Tensor:
    """The same conditions, another noise."""
    side = model.config.resolution
    return sample(model, given, recipe_of(steps, n), keys=sample_keys(7, n), size=(side, side))


def diffusers_trip(
    model: ComposerModel, truth: Tensor, given: dict[str, Tensor], steps: int, spacing: str
) -> Tensor:
    """The same by diffusers' schedulers, around the same network and schedule."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddim_inverse import DDIMInverseScheduler

    n = len(truth)
    kinds = {"eps": "epsilon", "v": "v_prediction", "x_0": "sample"}
    signals = row_encoder(model, given, n)(slice(0, n), list(given))
    x = truth
    for kind in (DDIMInverseScheduler, DDIMScheduler):
        scheduler = kind(
            clip_sample=False,
            timestep_spacing=spacing,
            prediction_type=kinds[model.process_config.prediction],
        )
        scheduler.alphas_cumprod = model.process.schedule.alpha_bar.float()
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            answer = model.predict(x, t.expand(n), signals).float()
            x = scheduler.step(answer[:, :3], int(t), x).prev_sample
    return x.clamp(-1, 1)


def write(args: argparse.Namespace, lines: list[dict]) -> None:
    """The table so far."""
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {"model": Path(args.model).name, "pictures": args.n, "bfloat16": args.bfloat16}
    facts["lines"] = lines
    (args.out / "inversion.json").write_text(json.dumps(facts, indent=1) + "\n")
    ways = [OURS, RANDOM, LEADING, TRAILING]
    found = {(line["steps"], line["c1"], line["from"]): line["psnr"] for line in lines}
    rows = [f"| steps | c1 | {' | '.join(ways)} |", "| --- | --- " + "| --- " * len(ways) + "|"]
    for steps in args.steps:
        for name, told in SETS.items():
            cells = [found.get((steps, name, way)) for way in ways]
            texts = ["" if c is None else "{:.1f} [{:.1f}, {:.1f}]".format(*c) for c in cells]
            rows.append(f"| {steps} | {told} | {' | '.join(texts)} |")
    head = (
        f"Round trip of {args.n} unseen scenes with `{Path(args.model).name}`"
        f"{', in bfloat16' if args.bfloat16 else ''}: PSNR in dB against the true picture, mean "
        f"and 95% interval.\n\n    python benchmarks/tasks/inversion.py "
        f"-n {args.n}{' --bfloat16' if args.bfloat16 else ''}\n\n"
    )
    (args.out / "inversion.md").write_text(head + "\n".join(rows) + "\n")


def sheet(out: Path, truth: Tensor, kept: dict, steps: list[int]) -> None:
    """True picture, round trips, the same from random noise: one row a scene."""
    rows = []
    for i in range(min(6, len(truth))):
        row = [Panel(title="truth", content=(truth[i] + 1) / 2)]
        for name in SETS:
            for way in (OURS, RANDOM):
                picture = kept[steps[0], name, way][i]
                row.append(Panel(title=f"{name}: {way}", content=(picture + 1) / 2))
        rows.append(row)
    contact_sheet(rows, cell=128).save(out / "inversion.png", optimize=True)


if __name__ == "__main__":
    main()
