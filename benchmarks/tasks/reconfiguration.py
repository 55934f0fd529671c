"""Reconfiguration: does the edited part take hold, and does the rest stay?

    python benchmarks/tasks/reconfiguration.py [--model scenes-64] [-n 16] [--steps 50] [--bfloat16]

Four edits whose true outcome is known, of unseen scenes at the model's size:

- `sketch`: the sketch of the scene rendered without its nearest thing; scenes of two or more;
- `color`: the palette of the scene's twin, the same thing of another colour; scenes of one thing of
  one colour. A palette does not say which of several things has which colour, so that in other
  scenes no outcome is the true one;
- `depth`: the depth of the scene rendered with its nearest thing moved to one side;
- `instances`: the map of the scene rendered with its nearest thing as another shape; both in scenes
  of two or three things.

Lines are aspects, 1 is best. `changed` is held against the true outcome, `kept` against the picture
that was edited, outside of the removed thing for the sketch, where both renderings show the same
for depth and instances. `ceiling` is the true outcome, read in the same way: what is kept is not
always 1 there, as a thing that goes takes its shadow along. `floor` is the picture itself (for what
is to change) or a drawing from random noise under the same parts (for what is to stay). `blind` is
the same edit told another part of the same kind: the sketch without the farthest thing instead, the
palette of a third colour, the thing moved to another place, a third shape. An edit that changes the
picture whatever it is told scores there as it does under `task`. 95% bootstrap over scenes. Writes
reconfiguration.json, reconfiguration.md and a sheet.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))  # for twins
from bootstrap import mean_interval, shown
from edits import Edit, color_edits, sketch_edits
from map_edits import depth_edits, instances_edits

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.frame import INVERTING, TaskSettings
from composer_pl.composing.tasks.reconfiguration import reconfiguration
from composer_pl.evaluation.scenes.judge import load_judge
from composer_pl.evaluation.scenes.truth import small
from composer_pl.sheet import Panel, contact_sheet, to_pil

EDITS = (sketch_edits, color_edits, depth_edits, instances_edits)
SHOWN = 3
"""Scenes of each edit on the sheet, which has the edits as the task does them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("-n", type=int, default=16, help="unseen scenes of each edit")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=INVERTING.guidance)
    parser.add_argument("--only", default="", help="edits whose name begins so")
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on some CPUs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    composer, judge = Composer.from_pretrained(args.model), load_judge()
    recipe = replace(INVERTING, steps=args.steps, guidance=args.guidance)
    settings = TaskSettings(n=1, seed=3, recipe=recipe)
    facts: dict = {"model": Path(args.model).name, "pictures": args.n, "lines": []}
    panels = []
    for make in EDITS:
        if args.only and not make.__name__.startswith(args.only):
            continue
        for edit in make(judge, args.n):
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                drawings, misled = walked_back(composer, edit, settings)
                task, blind = drawn(composer, drawings), drawn(composer, misled)
                anew = drawn(composer, [replace(d, noise=None) for d in drawings])
            before, wanted = small(edit.corpus.pixels), small(edit.wanted)
            for kind, aspect, score in edit.aspects:
                target = wanted if kind == "changed" else before
                arms = {"ceiling": wanted, "task": task}
                arms |= {"blind": blind, "floor": before} if kind == "changed" else {"floor": anew}
                line = {"edit": edit.name, "kind": kind, "aspect": aspect}
                line |= {a: mean_interval(score(p, target)) for a, p in arms.items()}
                facts["lines"].append(line)
                print(line, flush=True)
            write(args, facts)
            for i in range(min(SHOWN, args.n) if edit.keep is None else 0):
                row = {"before": before, "wanted": wanted, "task": task, "blind": blind}
                row["anew"] = anew
                panels.append(
                    [
                        Panel(title=f"{edit.name}: {title}", content=(pictures[i] + 1) / 2)
                        for title, pictures in row.items()
                    ]
                )
    contact_sheet(panels).save(args.out / "reconfiguration.png", optimize=True)


def walked_back(
    composer: Composer, edit: Edit, settings: TaskSettings
) -> tuple[list[Drawing], list[Drawing]]:
    """Each scene's drawing under the edited part, and the same under another one."""
    drawings, misled = [], []
    for i, picture in enumerate(edit.corpus.pixels):
        told, other = (
            composer.decompose(to_pil(pixels[i] / 255), names=[edit.part])
            for pixels in (edit.wanted, edit.otherwise)
        )
        photo = to_pil(picture / 255)
        drawings.append(reconfiguration(composer, photo, told, keep=edit.keep, settings=settings))
        misled.append(replace(drawings[-1], parts=drawings[-1].parts | other))
        print(f"{edit.name}: walked back {i + 1}", flush=True)
    return drawings, misled


def drawn(composer: Composer, drawings: list[Drawing]) -> Tensor:
    """What the base model draws of each."""
    pictures = [
        composer.draw(d.parts, seed=i, recipe=d.recipe, against=d.against, noise=d.noise)
        for i, d in enumerate(drawings)
    ]
    return torch.cat(pictures).float()


def write(args: argparse.Namespace, facts: dict) -> None:
    (args.out / "reconfiguration.json").write_text(json.dumps(facts, indent=1) + "\n")
    arms = ("ceiling", "task", "blind", "floor")
    lines = [f"| edit | aspect | {' | '.join(arms)} |", "| --- | --- | --- | --- | --- | --- |"]
    for line in facts["lines"]:
        cells = [shown(line[arm]) if arm in line else "" for arm in arms]
        lines.append(f"| {line['edit']} | {line['kind']}: {line['aspect']} | {' | '.join(cells)} |")
    head = (
        f"Reconfiguration of {args.n} unseen scenes an edit with `{Path(args.model).name}`.\n\n"
        f"    python benchmarks/tasks/reconfiguration.py -n {args.n} --steps {args.steps}"
        f"{' --bfloat16' if args.bfloat16 else ''}\n\n"
    )
    (args.out / "reconfiguration.md").write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
