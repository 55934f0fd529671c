"""How far each task changes what it is to change, and keeps what it is to keep.

    python benchmarks/tasks/measure.py --out DIR [--model M] [--prior P] [-n 32] [--steps 12]

Unseen scenes, drawn at the model's own size, scored by the judge of `benchmarks/scene_model` and
by plain measures of pixels, never by a network that the model was conditioned with. A line is one
aspect of one task:

- `ceiling`: the true picture that has the wanted aspect (another scene, or the scene's twin: the
  same things of other colours, rendered);
- `task`: what the task drew;
- `floor`: the same pictures against the aspect of yet another scene;
- `before`: the picture that was edited, against the wanted aspect; nothing where there is none;
- `way`: (task - floor) / (ceiling - floor).

Writes `measured.json`, `measured.md` and a sheet; 95% bootstrap over scenes.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "scene_model"))
sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))
from arms import RULES
from aspects import ASPECTS, Judged
from bootstrap import interval, mean_of, resampled_means, shown
from corpus import UNSEEN, Corpus, build_corpus
from plans import Scenes, lines
from twins import twins

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing, levels
from composer_pl.composing.luma import with_luma
from composer_pl.composing.panels import as_tensor
from composer_pl.composing.placing import composited
from composer_pl.composing.values import model_values
from composer_pl.evaluation.scenes.judge import Judge, load_judge
from composer_pl.evaluation.scenes.truth import claimed_pairs, whole_truth
from composer_pl.models.prior import PriorModel
from composer_pl.models.sampling import sample, sample_keys
from composer_pl.models.storage import load_prior
from composer_pl.sheet import Panel, contact_sheet, to_pil


def drawn(composer: Composer, drawings: Sequence[Drawing], batch: int = 8) -> Tensor:
    """What `make` would draw of one picture each, several at once: `(n, 3, s, s)` in [-1, 1].

    All drawings must be of one task: they share recipe and names of parts.
    """
    side = composer.side
    pictures = []
    for first in range(0, len(drawings), batch):
        part = drawings[first : first + batch]
        values, against = (
            _stacked([model_values(composer.model, getattr(d, field), (side, side)) for d in part])
            for field in ("parts", "against")
        )
        noises = [d.noise for d in part if d.noise is not None]
        keys = sample_keys(part[0].seed, len(drawings))[first : first + len(part)]
        made = sample(
            composer.model,
            values,
            part[0].recipe,
            keys=keys,
            size=(side, side),
            against=against,
            noise=torch.cat(noises) if noises else None,
        )
        for drawing, picture in zip(part, made, strict=True):
            done = _finished(to_pil((picture + 1) / 2), drawing)
            pictures.append(as_tensor(done.resize((side, side), Image.Resampling.BOX)))
    return 2 * torch.stack(pictures) - 1


def _stacked(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([value[name] for value in values]) for name in values[0]}


def _finished(picture: Image.Image, drawing: Drawing) -> Image.Image:
    """As `drawing.make` finishes it."""
    if drawing.luma is not None:
        picture = with_luma(picture, levels(drawing.luma).float() / 255)
    if drawing.background is not None:
        picture = composited(picture, drawing.background, drawing.inside, drawing.place)
    return picture


def measure(
    composer: Composer,
    corpus: Corpus,
    *,
    judge: Judge,
    prior: PriorModel | None = None,
    steps: int = 12,
    walk_guidance: float | None = None,
    only: str = "",
    log: Callable[[str], None] = print,
    done: Callable[[list[dict[str, Any]], dict[str, Tensor]], None] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Draw and score every task; `done` gets what there is after each line.

    Returns:
        The table, and the pictures of each line.
    """
    recolored = twins(corpus)
    truth, twin_truth = whole_truth(corpus), whole_truth(recolored)
    inside = corpus.ids == 1
    scenes = Scenes(
        pictures=_pil(corpus.pixels),
        recolored=_pil(recolored.pixels),
        texts=[texts[0] for texts in corpus.texts],
        twin_texts=[texts[0] for texts in recolored.texts],
        masks=[Image.fromarray((255 * mask).to(torch.uint8).numpy()) for mask in inside],
    )
    judged = {
        "own": Judged(truth, claimed_pairs(corpus.scenes), inside),
        "twin": Judged(twin_truth, claimed_pairs(recolored.scenes), inside),
    }
    judged["other"] = judged["own"].rolled(-1)
    table: list[dict[str, Any]] = []
    pictures: dict[str, Tensor] = {"picture": truth.image, "twin": twin_truth.image}
    began = time.monotonic()
    count = len(corpus)
    for line in lines(composer, scenes, steps, prior, walk_guidance):
        if only and only not in line.name:
            continue
        made = drawn(composer, [line.plan(i, (i + 1) % count) for i in range(count)])
        pictures[line.name] = made
        wanted = [(aspect, whose, "changed") for aspect, whose in line.changed]
        wanted += [(aspect, "own", "kept") for aspect in line.kept]
        for aspect, whose, role in wanted:
            target = judged[whose]
            score = ASPECTS[aspect]
            arms = {
                "ceiling": score(judge, target.truth.image, target),
                "task": score(judge, made, target),
                "floor": score(judge, made, target.rolled(1 if whose == "other" else -1, 2)),
            }
            if line.edits and role == "changed":
                arms["before"] = score(judge, truth.image, target)
            table.append(_row(line.name, role, aspect, whose, arms))
        log(f"{line.name}: {time.monotonic() - began:.0f} s")
        if done is not None:
            done(table, pictures)
    return table, pictures


def _row(
    task: str, role: str, aspect: str, whose: str, arms: Mapping[str, Tensor]
) -> dict[str, Any]:
    draws, means = resampled_means(arms), {arm: mean_of(value) for arm, value in arms.items()}
    row: dict[str, Any] = {"line": task, "role": role, "aspect": aspect, "whose": whose}
    row |= {arm: interval(draws[arm], means[arm]) for arm in arms}
    length = means["ceiling"] - means["floor"]
    way = (means["task"] - means["floor"]) / length if length else float("nan")
    row["way"] = interval(
        (draws["task"] - draws["floor"]) / (draws["ceiling"] - draws["floor"]), way
    )
    return row


def markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """The table for a README."""
    out = [
        "| task | aspect | before | task | floor | ceiling | way |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in table:
        aspect = f"{row['role']}: {row['aspect']} of its {row['whose']}".replace(
            "its own", "itself"
        )
        before = shown(row["before"]) if "before" in row else ""
        cells = [
            row["line"],
            aspect,
            before,
            *(shown(row[a]) for a in ("task", "floor", "ceiling")),
        ]
        out.append(f"| {' | '.join(cells)} | {shown(row['way'], percent=True)} |")
    return "\n".join(out) + "\n"


def sheet(pictures: Mapping[str, Tensor], rows: int = 6) -> Image.Image:
    """Each scene beside what the tasks made of it."""
    panels = []
    for i in range(rows):
        line = [Panel(title=name[:18], content=(p[i] + 1) / 2) for name, p in pictures.items()]
        panels.append(line)
    return contact_sheet(panels, cell=96)


def _pil(pixels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("--prior", default="")
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--walk-guidance", type=float, help="of inversions; None: their default")
    parser.add_argument("--only", default="", help="lines whose name holds this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_autocast_enabled("cpu", args.bfloat16)
    composer = Composer.from_pretrained(args.model)
    prior = load_prior(args.prior) if args.prior else None
    corpus = build_corpus(range(UNSEEN, UNSEEN + args.n), rules=RULES["A"], texts=1)
    args.out.mkdir(parents=True, exist_ok=True)

    def write(table: list[dict[str, Any]], pictures: dict[str, Tensor]) -> None:
        facts = {"model": args.model, "scenes": args.n, "steps": args.steps, "table": table}
        (args.out / "measured.json").write_text(json.dumps(facts, indent=1) + "\n")
        (args.out / "measured.md").write_text(markdown(table))
        sheet(pictures, min(6, args.n)).save(args.out / "measured.png", optimize=True)

    table, _ = measure(
        composer,
        corpus,
        judge=load_judge(),
        prior=prior,
        steps=args.steps,
        walk_guidance=args.walk_guidance,
        only=args.only,
        done=write,
    )
    print(markdown(table))


if __name__ == "__main__":
    main()
