"""Interpolation: are the ends the pure pictures, and are the steps between them even?

    python benchmarks/tasks/interpolation.py [--model scenes-64] [-n 8] [--frames 7] [--bfloat16]

Pairs of unseen scenes. `semantics` blends the image embedding with the palette and keeps nothing;
`palette` blends the palette alone and keeps the maps of the first. Each along arcs and by transport
and, for comparison, straight.

- `ends`: the largest difference of the first and last frame to what each end alone gives;
- `largest step`: of the frames' mean absolute difference to the next, the largest as a share of
  all: 1 / (frames - 1) is even;
- `detour`: the sum of these steps divided by the difference of both ends: 1 is straight in pixels;
- `distance to the asked palette` of the frames between, measured from the drawn pictures: 0 is
  equal, about 1 unrelated; the floor is the same pictures against another pair's frames.

95% bootstrap over pairs. Writes interpolation.json, interpolation.md and a sheet.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
from bootstrap import mean_interval
from corpus import UNSEEN, build_corpus

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing, make
from composer_pl.composing.panels import as_tensor
from composer_pl.composing.tasks.frame import TaskSettings
from composer_pl.composing.tasks.interpolation import interpolation
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.sheet import Panel, contact_sheet, to_pil

ROWS = {
    "semantics": (["semantics", "color"], []),
    "palette": (["color"], ["sketch", "depth", "instances"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("-n", type=int, default=8, help="pairs")
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on some CPUs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    composer = Composer.from_pretrained(args.model)
    corpus = build_corpus(range(UNSEEN, UNSEEN + 2 * args.n))
    photos = [to_pil(pixels / 255) for pixels in corpus.pixels]
    settings = TaskSettings(n=1, seed=3, recipe=SamplingRecipe(steps=args.steps))
    facts: dict = {"model": Path(args.model).name, "pairs": args.n, "rows": {}}
    shown: list[list[Panel]] = []
    for kind, (blend, keep) in ROWS.items():
        for straight in (False, True):
            found, asked, measured = [], [], []
            for pair in range(args.n):
                ends = photos[2 * pair], photos[2 * pair + 1]
                drawings = interpolation(
                    composer,
                    *ends,
                    frames=args.frames,
                    blend=blend,
                    keep=keep,
                    straight=straight,
                    settings=settings,
                )
                with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                    frames = [make(composer, drawing).pictures[0] for drawing in drawings]
                    off = 0.0 if straight else ends_off(composer, ends, drawings[0], blend, frames)
                found.append(steps_of(frames) | {"ends": off})
                asked.append(torch.stack([d.parts["color"] for d in drawings[1:-1]]))
                measured.append(palettes(composer, frames[1:-1]))
                if pair < 3:
                    shown.append(row_of(kind, straight, ends, frames))
                print(kind, "straight" if straight else "arc", pair, found[-1], flush=True)
            plugin = composer.model.plugins["color"]
            own = torch.stack(
                [plugin.distance(*p).mean() for p in zip(measured, asked, strict=True)]
            )
            other = zip(measured, asked[1:] + asked[:1], strict=True)
            floor = torch.stack([plugin.distance(*p).mean() for p in other])
            facts["rows"][f"{kind}{', straight' if straight else ''}"] = {
                "ends": max(entry["ends"] for entry in found),
                "largest": mean_interval(torch.tensor([entry["largest"] for entry in found])),
                "detour": mean_interval(torch.tensor([entry["detour"] for entry in found])),
                "palette": mean_interval(own),
                "floor": mean_interval(floor),
            }
            write(args, facts)
    contact_sheet(shown).save(args.out / "interpolation.png", optimize=True)


def ends_off(
    composer: Composer, ends: tuple[Image.Image, ...], first: Drawing, blend, frames
) -> float:
    """Largest difference of both ends to what their parts alone give, in grey levels."""
    fixed = first.parts.only(*(name for name in first.parts if name not in blend))
    worst = 0.0
    for source, frame in zip(ends, (frames[0], frames[-1]), strict=True):
        parts = fixed | composer.decompose(source, names=blend, seed=first.seed)
        pure = make(composer, replace(first, parts=parts)).pictures[0]
        worst = max(worst, float((as_tensor(pure) - as_tensor(frame)).abs().max() * 255))
    return worst


def steps_of(frames: list[Image.Image]) -> dict[str, float]:
    """How even the steps are, and how straight the way."""
    pictures = torch.stack([as_tensor(frame) for frame in frames])
    steps = pictures.diff(dim=0).abs().flatten(1).mean(1)
    whole = (pictures[-1] - pictures[0]).abs().mean()
    return {"largest": float(steps.max() / steps.sum()), "detour": float(steps.sum() / whole)}


def palettes(composer: Composer, frames: list[Image.Image]) -> Tensor:
    return torch.stack([composer.decompose(f, names=["color"])["color"] for f in frames])


def row_of(kind: str, straight: bool, ends, frames) -> list[Panel]:
    way = "straight" if straight else "arc, transport"
    sides = [Panel(title=t, content=as_tensor(e)) for t, e in zip((kind, way), ends, strict=True)]
    between = [Panel(title=str(i), content=as_tensor(frame)) for i, frame in enumerate(frames)]
    return [sides[0], *between, sides[1]]


def write(args: argparse.Namespace, facts: dict) -> None:
    (args.out / "interpolation.json").write_text(json.dumps(facts, indent=1) + "\n")
    even = 1 / (args.frames - 1)
    lines = [
        f"| blended | ends | largest step ({even:.2f} is even) | detour | to the asked palette | "
        f"to another's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in facts["rows"].items():
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[key]) for key in list(row)[1:]]
        off = "" if "straight" in name else f"{row['ends']:.0f}"
        lines.append(f"| {name} | {off} | {' | '.join(cells)} |")
    head = (
        f"Interpolation between {args.n} pairs of unseen scenes with `{Path(args.model).name}`, "
        f"{args.frames} frames.\n\n    python benchmarks/tasks/interpolation.py -n {args.n} "
        f"--frames {args.frames} --steps {args.steps}"
        f"{' --bfloat16' if args.bfloat16 else ''}\n\n"
    )
    (args.out / "interpolation.md").write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
