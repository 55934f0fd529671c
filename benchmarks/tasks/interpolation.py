"""Interpolation: are the ends the pure pictures, the steps even, the frames as asked?

    python benchmarks/tasks/interpolation.py [--model scenes-64] [-n 8] [--frames 7] [--bfloat16]

Pairs of unseen scenes as the models know them. `semantics` blends the image embedding with the
palette and keeps nothing, or the maps of the first; `palette` blends the palette alone and keeps
the maps of the first. Each along arcs and by transport and, for comparison, straight.

- `ends`: the largest difference of the first and last frame to what each end alone gives;
- `largest step`: of the frames' mean absolute difference to the next, the largest as a share of
  all: 1 / (frames - 1) is even;
- `detour`: the sum of these steps divided by the difference of both ends: 1 is straight in pixels;
- `distance to the asked palette` of the frames between, measured from the drawn pictures: 0 is
  equal, about 1 unrelated; the floor is the same pictures against another pair's frames.

A second table has the aspects of every frame that change and that are kept, 1 is best, read by the
judge and, for colours, from pixels (see `aspects.py` and `blends.py`). `floor` is the same frames
against another pair, `ceiling` the true pictures (for colours at the ends, where there are some),
`way` = (task - floor) / (ceiling - floor). For what goes with the first picture and comes with the
second, floor and way are those of the frame that is asked for all of it, else of all frames.

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
sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))  # for arms
from arms import RULES
from aspects import Judged
from blends import KINDS, Row, measured, table
from bootstrap import mean_interval
from corpus import UNSEEN, build_corpus

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing, make
from composer_pl.composing.panels import as_tensor
from composer_pl.composing.tasks.frame import TaskSettings
from composer_pl.composing.tasks.interpolation import interpolation
from composer_pl.evaluation.scenes.judge import load_judge
from composer_pl.evaluation.scenes.truth import claimed_pairs, whole_truth
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.sheet import Panel, contact_sheet, to_pil


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
    composer, judge = Composer.from_pretrained(args.model), load_judge()
    corpus = build_corpus(range(UNSEEN, UNSEEN + 2 * args.n), rules=RULES["A"], texts=1)
    photos = [to_pil(pixels / 255) for pixels in corpus.pixels]
    both = Judged(whole_truth(corpus), claimed_pairs(corpus.scenes), corpus.ids == 1)
    first, second = (
        Judged(both.truth[rows], both.claimed[rows], both.region[rows])
        for rows in torch.arange(2 * args.n).view(-1, 2).T
    )
    settings = TaskSettings(n=1, seed=3, recipe=SamplingRecipe(steps=args.steps))
    facts: dict = {"model": Path(args.model).name, "pairs": args.n, "rows": {}}
    sheet: list[list[Panel]] = []
    for name, kind in KINDS.items():
        for straight in (False, True):
            found, pictures, told, off = [], [], [], 0.0
            for pair in range(args.n):
                ends = photos[2 * pair], photos[2 * pair + 1]
                drawings = interpolation(
                    composer,
                    *ends,
                    frames=args.frames,
                    blend=kind.blend,
                    keep=kind.keep,
                    straight=straight,
                    settings=settings,
                )
                with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                    frames = [make(composer, drawing).pictures[0] for drawing in drawings]
                    if not straight:
                        new = ends_off(composer, ends, drawings[0], kind.blend, frames)
                        off = max(off, new)
                found.append(steps_of(frames))
                told.append(torch.stack([d.parts["color"] for d in drawings]))
                pictures.append(frames)
                if pair < 3:
                    sheet.append(row_of(name, straight, ends, frames))
                print(name, "straight" if straight else "arc", pair, found[-1], flush=True)
            own, floor = palette_distances(composer, pictures, told)
            row = Row(
                pictures=torch.stack([stacked(frames) for frames in pictures]),
                palettes=torch.stack(told),
                first=first,
                second=second,
            )
            facts["rows"][f"{name}{', straight' if straight else ''}"] = {
                "ends": off,
                "largest": mean_interval(torch.tensor([entry["largest"] for entry in found])),
                "detour": mean_interval(torch.tensor([entry["detour"] for entry in found])),
                "palette": mean_interval(own),
                "floor": mean_interval(floor),
                "aspects": measured(judge, row, kind),
            }
            write(args, facts)
    contact_sheet(sheet).save(args.out / "interpolation.png", optimize=True)


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
    pictures = stacked(frames)
    steps = pictures.diff(dim=0).abs().flatten(1).mean(1)
    whole = (pictures[-1] - pictures[0]).abs().mean()
    return {"largest": float(steps.max() / steps.sum()), "detour": float(steps.sum() / whole)}


def stacked(frames: list[Image.Image]) -> Tensor:
    """Frames as the judge reads them: in [-1, 1]."""
    return 2 * torch.stack([as_tensor(frame) for frame in frames]) - 1


def palette_distances(
    composer: Composer, pictures: list[list[Image.Image]], told: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Of the frames between, measured, to what they were told, and to what another pair's were."""
    plugin = composer.model.plugins["color"]
    drawn = [
        torch.stack([composer.decompose(f, names=["color"])["color"] for f in frames[1:-1]])
        for frames in pictures
    ]
    asked = [palettes[1:-1] for palettes in told]
    own, other = (
        torch.stack([plugin.distance(*both).mean() for both in zip(drawn, theirs, strict=True)])
        for theirs in (asked, asked[1:] + asked[:1])
    )
    return own, other


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
        keys = ("largest", "detour", "palette", "floor")
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*row[key]) for key in keys]
        off = "" if "straight" in name else f"{row['ends']:.0f}"
        lines.append(f"| {name} | {off} | {' | '.join(cells)} |")
    aspects = {name: row["aspects"] for name, row in facts["rows"].items()}
    head = (
        f"Interpolation between {args.n} pairs of unseen scenes with `{Path(args.model).name}`, "
        f"{args.frames} frames.\n\n    python benchmarks/tasks/interpolation.py -n {args.n} "
        f"--frames {args.frames} --steps {args.steps}"
        f"{' --bfloat16' if args.bfloat16 else ''}\n\n"
    )
    between = (
        "\nAspects of each frame by its share of the second picture, 1 is best; where something "
        "goes or comes, floor and way are of the frame that is asked for all of it.\n\n"
    )
    text = head + "\n".join(lines) + "\n" + between + "\n".join(table(aspects, args.frames))
    (args.out / "interpolation.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
