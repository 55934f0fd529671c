"""Reconfiguration: does the edited part take hold, and does the rest stay?

    python benchmarks/tasks/reconfiguration.py [--model scenes-64] [-n 16] [--steps 50] [--bfloat16]

Two edits whose true outcome is known, of unseen scenes at the model's size:

- `sketch`: the sketch of the scene rendered without its nearest thing; scenes of two or more;
- `color`: the palette of the scene's twin, the same thing of another colour; scenes of one thing of
  one colour. A palette does not say which of several things has which colour, so that in other
  scenes no outcome is the true one.

Lines are aspects, 1 is best. `changed` is held against the true outcome, `kept` against the picture
that was edited, outside of the removed thing for the sketch. `ceiling` is what is wanted, read in
the same way; `floor` is the picture itself (for what is to change) or a drawing from random noise
under the same parts (for what is to stay). `blind` is the same edit told another part of the same
kind: the sketch without the farthest thing instead, the palette of a third colour. An edit that
changes the picture whatever it is told scores there as it does under `task`. 95% bootstrap over
scenes. Writes reconfiguration.json, reconfiguration.md and a sheet.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))  # for twins
from bootstrap import mean_interval, shown
from corpus import UNSEEN, Corpus, build_corpus
from twins import recolored, twins

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.frame import INVERTING, TaskSettings
from composer_pl.composing.tasks.reconfiguration import reconfiguration
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.truth import outlines
from composer_pl.evaluation.plain import correlation, lab_agreement, luma, outline_f1, ssim
from composer_pl.evaluation.scenes.judge import Judge, load_judge, read_pictures
from composer_pl.evaluation.scenes.truth import small, whole_truth
from composer_pl.sheet import Panel, contact_sheet, to_pil

Score = Callable[[Tensor, Tensor], Tensor]
"""(pictures, wanted ones) -> a score of each."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """An edit of scenes.

    Attributes:
        name: Of the edit and of what is kept beside.
        part: The condition that is edited.
        corpus: The scenes.
        wanted: Pixels of the true outcome.
        otherwise: Pixels of another outcome, whose part the blind edit is told.
        aspects: ("changed" or "kept", name, score).
        keep: What is kept beside; None is the task's own choice.
    """

    name: str
    part: str
    corpus: Corpus
    wanted: Tensor
    otherwise: Tensor
    aspects: Sequence[tuple[str, str, Score]]
    keep: Sequence[str] | None = None


MAPS = ("sketch", "instances", "depth")
SETTINGS: dict[str, dict] = {
    "color": {},
    "color, semantics kept too": {"keep": (*MAPS, "intensity", "semantics")},
    "color, intensity not kept": {"keep": MAPS},
}
"""Name -> how a palette is edited; the first is the task as it is."""


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
    for make in (sketch_edits, color_edits):
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
                arms = {"ceiling": target, "task": task}
                arms |= {"blind": blind, "floor": before} if kind == "changed" else {"floor": anew}
                line = {"edit": edit.name, "kind": kind, "aspect": aspect}
                line |= {a: mean_interval(score(p, target)) for a, p in arms.items()}
                facts["lines"].append(line)
                print(line, flush=True)
            write(args, facts)
            for i in range(min(5, args.n)):
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


def chosen(n: int, fits: Callable[[Scene], bool]) -> list[int]:
    """The first unseen scenes that fit."""
    sampler, found, index = SceneSampler(0), [], UNSEEN
    while len(found) < n:
        if fits(sampler.scene(index)):
            found.append(index)
        index += 1
    return found


def sketch_edits(judge: Judge, n: int) -> list[Edit]:
    """The nearest thing's lines erased."""
    corpus = build_corpus(chosen(n, lambda scene: len(scene.objects) > 1))
    side = corpus.pixels.shape[-1]
    fewer = render([replace(s, objects=s.objects[1:]) for s in corpus.scenes], side)
    otherwise = render([replace(s, objects=s.objects[:-1]) for s in corpus.scenes], side)
    gone = F.max_pool2d((corpus.ids == 1).float()[:, None], 7, 1, 3)
    outside = F.avg_pool2d(gone, 2)[:, 0] == 0
    lines_there = F.max_pool2d(outlines(fewer).float(), 2)[:, 0] > 0

    def judged_lines(pictures: Tensor, wanted: Tensor) -> Tensor:
        return outline_f1(read_pictures(judge, pictures).outlines > 0, lines_there)

    aspects: list[tuple[str, str, Score]] = [
        ("changed", "judged outlines, F1", judged_lines),
        ("changed", "pixels where the thing was", lambda p, w: pixels_in(p, w, ~outside)),
        ("kept", "pixels elsewhere", lambda p, w: pixels_in(p, w, outside)),
        ("kept", "Lab distribution", lab_agreement),
    ]
    return [
        Edit(
            name="sketch",
            part="sketch",
            corpus=corpus,
            wanted=fewer.pixels,
            otherwise=otherwise.pixels,
            aspects=aspects,
        )
    ]


def color_edits(judge: Judge, n: int) -> list[Edit]:
    """The only thing's colour exchanged for another in the palette."""

    def plain(scene: Scene) -> bool:
        return len(scene.objects) == 1 and not scene.objects[0].second_color

    corpus = build_corpus(chosen(n, plain))
    twin = twins(corpus)
    thirds = [
        next(
            third
            for third in (recolored(scene, move) for move in range(1, 8))
            if third.objects[0].color != asked.objects[0].color
        )
        for scene, asked in zip(corpus.scenes, twin.scenes, strict=True)
    ]
    truth = whole_truth(twin)
    thing, beside = truth.colors[:, -1] < 0.001, truth.colors[:, -1] > 0.999
    asked = truth.colors.argmax(1)

    def judged_color(pictures: Tensor, wanted: Tensor) -> Tensor:
        right = read_pictures(judge, pictures).colors.argmax(1) == asked
        return (right & thing).sum((1, 2)) / thing.sum((1, 2))

    aspects: list[tuple[str, str, Score]] = [
        ("changed", "judged colour, share of the thing", judged_color),
        ("kept", "judged depth, correlation", lambda p, w: judged_depth(judge, p, w)),
        ("kept", "luma, SSIM", lambda p, w: ssim(luma(p), luma(w))),
        ("kept", "pixels beside the thing", lambda p, w: pixels_in(p, w, beside)),
    ]
    edit = Edit(
        name="color",
        part="color",
        corpus=corpus,
        wanted=twin.pixels,
        otherwise=render(thirds, corpus.pixels.shape[-1]).pixels,
        aspects=aspects,
    )
    return [replace(edit, name=name, **changes) for name, changes in SETTINGS.items()]


def judged_depth(judge: Judge, pictures: Tensor, wanted: Tensor) -> Tensor:
    ours, theirs = (read_pictures(judge, p).depth for p in (pictures, wanted))
    return correlation(ours, theirs)


def pixels_in(pictures: Tensor, wanted: Tensor, where: Tensor) -> Tensor:
    """1 minus the mean absolute error of RGB in [0, 1] there."""
    error = (pictures - wanted).abs().mean(1) / 2 * where
    return 1 - error.sum((1, 2)) / where.sum((1, 2))


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
