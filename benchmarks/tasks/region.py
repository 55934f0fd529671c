"""Region editing: is the outside untouched, and is there a seam?

    python benchmarks/tasks/region.py [--model scenes-64] [-n 24] [--steps 25] [--bfloat16]

Unseen scenes of 128 px; the region is the nearest object, widened by 6 px, and its caption is that
of the scene. `outside` is the largest difference of any pixel outside, in grey levels. `seam` is
the mean gradient across the region's border (pairs of neighbours, one on either side, largest
channel) divided by that of the original picture: 1 is no seam. Arms: the task; the task with a hard
border; the same without telling the model the surroundings; the task by guidance 1; and another
scene's pixels pasted in (the floor). 95% bootstrap over scenes, of the ratio of means.
Writes region.json, region.md and a sheet.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
from bootstrap import interval, resampled_means
from corpus import UNSEEN, build_corpus

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing, make
from composer_pl.composing.panels import as_tensor
from composer_pl.composing.placing import composited
from composer_pl.composing.tasks.frame import TaskSettings
from composer_pl.composing.tasks.region import MASKING, region
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.sheet import Panel, contact_sheet, to_pil

ARMS = ("task", "hard border", "surroundings not told", "guidance 1", "another scene pasted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("-n", type=int, default=24, help="unseen scenes")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on some CPUs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    composer = Composer.from_pretrained(args.model)
    corpus = build_corpus(range(UNSEEN, UNSEEN + args.n))
    photos = [to_pil(pixels / 255) for pixels in corpus.pixels]
    wide = F.max_pool2d((corpus.ids == 1).float()[:, None], 13, 1, 6)
    settings = TaskSettings(n=1, seed=3, recipe=SamplingRecipe(steps=args.steps))
    kept: dict[str, list[Image.Image]] = {arm: [] for arm in ARMS}
    for i, photo in enumerate(photos):
        mask, words = (
            to_pil(wide[i].expand(3, -1, -1)),
            composer.read("caption", corpus.texts[i][0]),
        )
        drawing = region(composer, photo, mask, parts=words, settings=settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            for arm, picture in drawn(composer, drawing, wide[i]).items():
                kept[arm].append(picture)
        other = photos[(i + 1) % len(photos)]
        kept[ARMS[-1]].append(composited(other, drawing.background, wide[i], drawing.place))
        print(f"scene {i + 1}/{args.n}", flush=True)
    originals = torch.stack([as_tensor(photo) for photo in photos])
    inside = wide > 0
    base = seam(originals, inside)
    facts: dict = {"model": Path(args.model).name, "pictures": args.n, "arms": {}}
    lines = ["| arm | largest difference outside | seam |", "| --- | --- | --- |"]
    for arm in ARMS:
        pictures = torch.stack([as_tensor(picture) for picture in kept[arm]])
        outside = float(((pictures - originals).abs() * 255 * ~inside).max())
        found = {"ours": seam(pictures, inside), "theirs": base}
        draws = resampled_means(found)
        ratio = interval(draws["ours"] / draws["theirs"], float(found["ours"].mean() / base.mean()))
        facts["arms"][arm] = {"outside": round(outside, 3), "seam": ratio}
        lines.append(f"| {arm} | {outside:.0f} | {{:.2f}} [{{:.2f}}, {{:.2f}}] |".format(*ratio))
    (args.out / "region.json").write_text(json.dumps(facts, indent=1) + "\n")
    head = (
        f"Region editing of {args.n} unseen scenes with `{Path(args.model).name}`.\n\n"
        f"    python benchmarks/tasks/region.py -n {args.n} --steps {args.steps}"
        f"{' --bfloat16' if args.bfloat16 else ''}\n\n"
    )
    (args.out / "region.md").write_text(head + "\n".join(lines) + "\n")
    rows = []
    for i in range(min(8, args.n)):
        row = [
            Panel(title="photo", content=originals[i]),
            Panel(title="region", content=originals[i] * ~inside[i] + 0.5 * inside[i]),
        ]
        rows.append(row + [Panel(title=arm, content=as_tensor(kept[arm][i])) for arm in ARMS])
    contact_sheet(rows).save(args.out / "region.png", optimize=True)
    print("\n".join(lines))


def drawn(composer: Composer, drawing: Drawing, wide: Tensor) -> dict[str, Image.Image]:
    """The arms that are drawn; a hard border is another way to put the same drawing in."""
    task = make(composer, replace(drawing, background=None, inside=None, place=None)).pictures[0]
    blind = replace(
        drawing, parts=drawing.parts.drop(MASKING), against=drawing.against.drop(MASKING)
    )
    plain = replace(drawing, recipe=replace(drawing.recipe, guidance=1.0))
    return {
        "task": composited(task, drawing.background, drawing.inside, drawing.place),
        "hard border": composited(task, drawing.background, wide, drawing.place),
        "surroundings not told": make(composer, blind).pictures[0],
        "guidance 1": make(composer, plain).pictures[0],
    }


def seam(pictures: Tensor, inside: Tensor) -> Tensor:
    """Mean gradient across the border of each picture, in [0, 1]."""
    total, count = torch.zeros(len(pictures)), torch.zeros(len(pictures))
    for axis in (2, 3):
        steps = pictures.diff(dim=axis).abs().amax(1, keepdim=True)
        border = inside.float().diff(dim=axis).abs()
        total += (steps * border).sum((1, 2, 3))
        count += border.sum((1, 2, 3))
    return total / count.clamp(min=1)


if __name__ == "__main__":
    main()
