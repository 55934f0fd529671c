"""Reconfiguration: does the edited part take hold, and does the rest stay?

    python benchmarks/tasks/reconfiguration.py [--model scenes-64] [-n 16] [--steps 50] [--bfloat16]

Two edits whose true outcome is known, of unseen scenes at the model's size:

- `sketch`: the sketch of the scene rendered without its nearest object;
- `color`: the palette of the scene's twin, the same things of other colours.

Lines are aspects, 1 is best. `changed` is held against the true outcome, `kept` against the picture
that was edited, outside of the removed object for the sketch. `floor` is the picture itself (for
what is to change) or a drawing from random noise under the same parts (for what is to stay);
`ceiling` is what is wanted, read in the same way. 95% bootstrap over scenes. Writes
reconfiguration.json, reconfiguration.md and a sheet.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))  # for twins
from bootstrap import mean_interval, shown
from corpus import UNSEEN, build_corpus
from twins import twins

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.frame import INVERTING, TaskSettings
from composer_pl.composing.tasks.reconfiguration import reconfiguration
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.truth import outlines
from composer_pl.evaluation.plain import correlation, lab, lab_agreement, luma, outline_f1, ssim
from composer_pl.evaluation.scenes.judge import Judge, load_judge, read_pictures
from composer_pl.evaluation.scenes.truth import small
from composer_pl.sheet import Panel, contact_sheet, to_pil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("-n", type=int, default=16, help="unseen scenes of two things or more")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=INVERTING.guidance)
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on some CPUs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    composer, judge = Composer.from_pretrained(args.model), load_judge()
    corpus = build_corpus(
        [i for i in range(UNSEEN, UNSEEN + 3 * args.n) if things(i) > 1][: args.n]
    )
    before, twin = small(corpus.pixels), twins(corpus)
    thing = F.avg_pool2d((corpus.ids > 0).float()[:, None], 2)[:, 0] == 1
    scenes = [replace(s, objects=s.objects[1:]) for s in corpus.scenes]
    fewer = render(scenes, corpus.pixels.shape[-1])
    gone = F.max_pool2d((corpus.ids == 1).float()[:, None], 7, 1, 3)
    outside = F.avg_pool2d(gone, 2)[:, 0] == 0
    lines_there = F.max_pool2d(outlines(fewer).float(), 2)[:, 0] > 0
    truths = {"sketch": small(fewer.pixels), "color": small(twin.pixels)}
    pixels = {"sketch": fewer.pixels, "color": twin.pixels}
    recipe = replace(INVERTING, steps=args.steps, guidance=args.guidance)
    settings = TaskSettings(n=1, seed=3, recipe=recipe)
    aspects = measures(judge, lines_there, outside, thing)
    facts: dict = {"model": Path(args.model).name, "pictures": args.n, "lines": []}
    panels = []
    for edit in ("sketch", "color"):
        drawings = []
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            for i, picture in enumerate(corpus.pixels):
                edited = composer.decompose(to_pil(pixels[edit][i] / 255), names=[edit])
                photo = to_pil(picture / 255)
                drawings.append(reconfiguration(composer, photo, edited, settings=settings))
                print(edit, f"inverted {i + 1}/{args.n}", flush=True)
            task = drawn(composer, drawings)
            anew = drawn(composer, [replace(d, noise=None) for d in drawings])
        truth = truths[edit]
        for (kind, of, aspect), score in aspects.items():
            if of != edit:
                continue
            wanted = truth if kind == "changed" else before
            arms = {
                "ceiling": score(truth if kind == "changed" else before, wanted),
                "task": score(task, wanted),
                "floor": score(before if kind == "changed" else anew, wanted),
            }
            line = {"edit": edit, "kind": kind, "aspect": aspect}
            facts["lines"].append(line | {arm: mean_interval(v) for arm, v in arms.items()})
            print(facts["lines"][-1], flush=True)
        write(args, facts)
        for i in range(min(5, args.n)):
            shown_now = {"before": before, "wanted": truth, "task": task, "anew": anew}
            panels.append(
                [
                    Panel(title=f"{edit}: {title}", content=(pictures[i] + 1) / 2)
                    for title, pictures in shown_now.items()
                ]
            )
    contact_sheet(panels).save(args.out / "reconfiguration.png", optimize=True)


def things(index: int) -> int:
    from composer_pl.data.scenes.sampler import SceneSampler

    return len(SceneSampler(0).scene(index).objects)


def drawn(composer: Composer, drawings: list[Drawing]) -> Tensor:
    """What the base model draws of each."""
    pictures = [
        composer.draw(d.parts, seed=i, recipe=d.recipe, against=d.against, noise=d.noise)
        for i, d in enumerate(drawings)
    ]
    return torch.cat(pictures).float()


Score = Callable[[Tensor, Tensor], Tensor]


def measures(
    judge: Judge, lines_there: Tensor, outside: Tensor, thing: Tensor
) -> dict[tuple[str, str, str], Score]:
    """(changed or kept, edit, aspect) -> score of pictures against wanted ones."""

    def inside_pixels(pictures: Tensor, wanted: Tensor) -> Tensor:
        error = (pictures - wanted).abs().mean(1) / 2 * ~outside
        return 1 - error.sum((1, 2)) / (~outside).sum((1, 2))

    def outside_pixels(pictures: Tensor, wanted: Tensor) -> Tensor:
        error = (pictures - wanted).abs().mean(1) / 2 * outside
        return 1 - error.sum((1, 2)) / outside.sum((1, 2))

    def judged_lines(pictures: Tensor, wanted: Tensor) -> Tensor:
        return outline_f1(read_pictures(judge, pictures).outlines > 0, lines_there)

    def judged_depth(pictures: Tensor, wanted: Tensor) -> Tensor:
        ours, theirs = (read_pictures(judge, p).depth for p in (pictures, wanted))
        return correlation(ours, theirs)

    def hues(pictures: Tensor, wanted: Tensor) -> Tensor:
        ours, theirs = (lab(p)[:, 1:] for p in (pictures, wanted))
        error = (ours - theirs).norm(dim=1) * thing
        return 1 - error.sum((1, 2)) / thing.sum((1, 2)) / 100

    def grey(pictures: Tensor, wanted: Tensor) -> Tensor:
        return ssim(luma(pictures), luma(wanted))

    return {
        ("changed", "sketch", "judged outlines, F1"): judged_lines,
        ("changed", "sketch", "pixels where the thing was"): inside_pixels,
        ("kept", "sketch", "pixels elsewhere"): outside_pixels,
        ("kept", "sketch", "Lab distribution"): lab_agreement,
        ("changed", "color", "a and b of the things"): hues,
        ("kept", "color", "judged depth, correlation"): judged_depth,
        ("kept", "color", "luma, SSIM"): grey,
    }


def write(args: argparse.Namespace, facts: dict) -> None:
    (args.out / "reconfiguration.json").write_text(json.dumps(facts, indent=1) + "\n")
    lines = ["| edit | aspect | ceiling | task | floor |", "| --- | --- | --- | --- | --- |"]
    for line in facts["lines"]:
        cells = [shown(line[arm]) for arm in ("ceiling", "task", "floor")]
        lines.append(f"| {line['edit']} | {line['kind']}: {line['aspect']} | {' | '.join(cells)} |")
    head = (
        f"Reconfiguration of {args.n} unseen scenes with `{Path(args.model).name}`.\n\n"
        f"    python benchmarks/tasks/reconfiguration.py -n {args.n} --steps {args.steps}"
        f"{' --bfloat16' if args.bfloat16 else ''}\n\n"
    )
    (args.out / "reconfiguration.md").write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
