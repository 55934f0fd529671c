"""How well a scene model obeys each condition, on scenes that nobody has seen.

    python benchmarks/scene_model/adherence.py --out DIR [--model FOLDER] [--judge JUDGE] [-n 1000]
        [--blind FOLDER] [--training 18000] [--device cuda | --bfloat16]

Arms: `ceiling` (the true picture at 64 px), `alone` (drawn from one condition), `all` (drawn from
all), `shuffled` (the pictures of `alone` against another scene: the floor) and `blind` (drawn by a
model that was given nothing, or by a model that knows no conditions). Scores are `scores.py`'s and
the plugins' own. `way` is (alone - shuffled) / (ceiling - shuffled). 95% bootstrap over pictures.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bootstrap import interval, mean_interval, mean_of, resampled_means, shown
from corpus import UNSEEN, Corpus, build_corpus
from drawing import draw, extraction_of, to_bytes, values_of
from judge import Judge, load_judge, read_pictures
from neighbours import copies, thumbnails, variety
from scores import SCORERS, luma, psnr, scores, ssim
from torch import Tensor
from truth64 import PAIRS, Truth, whole_truth

from composer_pl.conditions.adherence import adherence
from composer_pl.conditions.extraction import Extraction
from composer_pl.data.scenes.captions import caption
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.storage import load_model
from composer_pl.sheet import Panel, contact_sheet

ARMS = ("ceiling", "alone", "all", "shuffled", "blind")
OWN = "own extractor"
JUDGE = Path(__file__).parent / "judge.safetensors"
PRETRAINED = Path(__file__).parents[2] / "src/composer_pl/pretrained/scenes-64"


@dataclass(kw_only=True)
class Measured:
    """What `measure_adherence` found.

    Attributes:
        facts: Plain numbers: the table, closeness, variety.
        pictures: Arm ("truth", "none", "all", or a condition) -> 8-bit pictures on the CPU.
        closeness: PSNR of each picture drawn from all conditions.
    """

    facts: dict[str, Any]
    pictures: dict[str, Tensor]
    closeness: Tensor


def claimed_pairs(corpus: Corpus) -> Tensor:
    """Which pairs of colour and shape the first caption of each scene claims, `(n, 56)`."""
    marks = torch.zeros(len(corpus), len(PAIRS), dtype=torch.bool)
    for row, scene in zip(marks, corpus.scenes, strict=True):
        for claim in caption(scene, 0).claims:
            if claim.kind == "objects":
                row[PAIRS.index(f"{claim.attributes['color']} {claim.attributes['shape']}")] = True
    return marks.to(corpus.pixels.device)


def measure_adherence(
    model: ComposerModel,
    extraction: Extraction,
    judge: Judge,
    corpus: Corpus,
    *,
    blind: ComposerModel | None = None,
    recipe: SamplingRecipe | None = None,
    own: bool = True,
    chunk: int = 250,
    seed: int = 1,
    log: Callable[[str], None] = print,
) -> Measured:
    """Draw and score all arms.

    Args:
        model: In evaluation mode, on the corpus's device.
        extraction: Its extractors, see `drawing.extraction_of`.
        judge: On the same device.
        corpus: Unseen scenes, at least two.
        blind: A model without conditions; None draws with nothing given.
        recipe: None takes 25 steps, guidance 2.
        own: Also ask the plugins' own extractors, five times a scene and condition.
        chunk: About how many scenes at once; a scene is shuffled within its chunk.
        seed: Of noise, masks and grey weights.
        log: Told the progress.
    """
    recipe = recipe or SamplingRecipe(steps=25, guidance=2.0, max_batch=chunk)
    known = [name for name in model.names if name in SCORERS]
    truth, claimed, began = whole_truth(corpus), claimed_pairs(corpus), time.monotonic()
    rows = torch.arange(len(corpus), device=corpus.pixels.device)
    asked = extraction if own else None
    collected: dict[tuple[str, str, str], list[Tensor]] = {}
    pictures: dict[str, list[Tensor]] = {}
    for part in rows.tensor_split(max(len(corpus) // chunk, 1)):
        texts = [corpus.texts[row][0] for row in part.tolist()]
        values = values_of(extraction, corpus.pixels[part], texts, seed=seed + int(part[0]))
        keys = sample_keys(seed, len(corpus))[part.cpu()]
        drawn = {"truth": truth.image[part], "none": draw(blind or model, {}, recipe, keys)}
        for name in known:
            drawn[name] = draw(model, {name: values[name]}, recipe, keys)
        drawn["all"] = draw(model, values, recipe, keys)
        found = _scored(drawn, values, truth[part], claimed[part], asked, judge, known)
        for key, score in found.items():
            collected.setdefault(key, []).append(score.float().cpu())
        for arm, images in drawn.items():
            pictures.setdefault(arm, []).append(to_bytes(images))
        log(f"adherence {int(part[-1]) + 1}/{len(rows)} {time.monotonic() - began:.0f} s")
    whole = {key: torch.cat(parts) for key, parts in collected.items()}
    kept = {arm: torch.cat(parts) for arm, parts in pictures.items()}
    again, true = (kept[arm].float() / 127.5 - 1 for arm in ("all", "truth"))
    decibels, alike = psnr(again, true), ssim(luma(again), luma(true))
    facts = {
        "pictures": len(corpus),
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "blind": "a model without conditions" if blind is not None else "nothing given",
        "table": _table(whole, known),
        "all_given": {"psnr": mean_interval(decibels), "luma_ssim": mean_interval(alike)},
        "none_given": {
            "variety": round(variety(thumbnails(kept["none"])), 4),
            "variety_of_truth": round(variety(thumbnails(kept["truth"])), 4),
        },
    }
    return Measured(facts=facts, pictures=kept, closeness=decibels)


def _scored(
    drawn: Mapping[str, Tensor],
    values: Mapping[str, Tensor],
    truth: Truth,
    claimed: Tensor,
    extraction: Extraction | None,
    judge: Judge,
    names: list[str],
) -> dict[tuple[str, str, str], Tensor]:
    """(condition, scorer, arm) -> scores of one chunk."""
    readings = {arm: read_pictures(judge, images) for arm, images in drawn.items()}
    other = truth[torch.arange(len(truth), device=claimed.device).roll(1)]
    found: dict[tuple[str, str, str], Tensor] = {}
    for name in names:
        holes = None
        if name == "masking":  # a pixel of 64 px is known where all of its part of the mask is
            share = F.adaptive_avg_pool2d(values[name][:, 3:].float(), truth.image.shape[-2:])
            holes = share[:, 0] > 0.999
        source = {"ceiling": "truth", "alone": name, "all": "all", "shuffled": name}
        for arm in ARMS:
            images = drawn[source.get(arm, "none")]
            reading = readings[source.get(arm, "none")]
            value = values[name]
            if arm == "shuffled":
                moved = None if holes is None else holes.roll(1, 0)
                answer = scores(
                    name, images, reading, other, claimed=claimed.roll(1, 0), known=moved
                )
                value = value.roll(1, 0)
            else:
                answer = scores(name, images, reading, truth, claimed=claimed, known=holes)
            found |= {
                (name, scorer, arm): score
                for scorer, score in zip(SCORERS[name], answer, strict=True)
            }
            if extraction is not None:
                found[name, OWN, arm] = adherence(extraction, name, images, value)
    return found


def _table(whole: Mapping[tuple[str, str, str], Tensor], names: list[str]) -> list[dict[str, Any]]:
    table = []
    for name in names:
        for scorer in (*SCORERS[name], OWN):
            if (name, scorer, "alone") not in whole:
                continue
            values = {arm: whole[name, scorer, arm] for arm in ARMS}
            means = {arm: mean_of(value) for arm, value in values.items()}
            draws = resampled_means(values)
            line: dict[str, Any] = {"condition": name, "scorer": scorer}
            line |= {arm: interval(draws[arm], means[arm]) for arm in ARMS}
            line["way"] = interval(_way(draws, "alone"), _way(means, "alone"))
            line["blind_way"] = interval(_way(draws, "blind"), _way(means, "blind"))
            table.append(line)
    return table


def _way(means: Mapping[str, Any], arm: str) -> Any:
    """How far from floor to ceiling; NaN where they are equal."""
    length = means["ceiling"] - means["shuffled"]
    gained = means[arm] - means["shuffled"]
    if isinstance(length, Tensor):
        return gained / length
    return gained / length if length else float("nan")


def markdown(facts: Mapping[str, Any]) -> str:
    """The table for a README."""
    lines = [
        "| condition | scorer | ceiling | alone | all given | shuffled | blind | way |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in facts["table"]:
        cells = [line["condition"], line["scorer"], *(shown(line[arm]) for arm in ARMS)]
        lines.append(f"| {' | '.join(cells)} | {shown(line['way'], percent=True)} |")
    return "\n".join(lines) + "\n"


def sheet(measured: Measured, texts: list[list[str]], names: list[str], rows: list[int]) -> Any:
    """True picture, caption, every condition alone, all, none: one row a scene."""
    panels = []
    for row in rows:
        line = [
            Panel(title=f"scene {row}", content=measured.pictures["truth"][row] / 255),
            Panel(title="caption", content=texts[row][0]),
        ]
        for arm in (*names, "all", "none"):
            line.append(Panel(title=f"-> {arm}", content=measured.pictures[arm][row] / 255))
        panels.append(line)
    return contact_sheet(panels, cell=96)


def neighbour_sheet(drawn: Tensor, training: Tensor, order: Tensor, where: Tensor) -> Any:
    """The generated pictures that are nearest to a training picture, each beside it."""
    panels = []
    rows = order[:20].tolist()
    for first in range(0, len(rows), 4):
        line = []
        for row in rows[first : first + 4]:
            line.append(Panel(title="generated", content=drawn[row].cpu() / 255))
            line.append(Panel(title="nearest trained", content=training[where[row]].cpu() / 255))
        panels.append(line)
    return contact_sheet(panels, cell=96)


def write(
    measured: Measured,
    corpus: Corpus,
    names: list[str],
    out: Path,
    training: Tensor | None = None,
) -> None:
    """Write `adherence.json`, `adherence.md` and sheets.

    Args:
        measured: From `measure_adherence`.
        corpus: Its scenes.
        names: The model's conditions.
        out: The folder.
        training: 8-bit training pictures on the device to search on; None skips the search.
    """
    out.mkdir(parents=True, exist_ok=True)
    if training is not None:
        measured.facts["copies"] = {}
        for arm in ("none", "caption"):
            if arm not in measured.pictures:
                continue
            drawn = measured.pictures[arm].to(training.device)
            unseen = measured.pictures["truth"].to(training.device)
            facts, order, where = copies(drawn, unseen, training)
            measured.facts["copies"][arm] = facts
            neighbour_sheet(drawn, training, order, where).save(
                out / f"neighbours_{arm}.png", optimize=True
            )
    (out / "adherence.json").write_text(json.dumps(measured.facts, indent=1) + "\n")
    (out / "adherence.md").write_text(markdown(measured.facts))
    count = len(measured.closeness)
    even = torch.linspace(0, count - 1, min(8, count)).long().tolist()
    worst = measured.closeness.argsort()[:6].tolist()
    for title, rows in (("even", even), ("worst", worst)):
        drawn = sheet(measured, corpus.texts, names, rows)
        drawn.save(out / f"grid_{title}.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=PRETRAINED)
    parser.add_argument("--judge", type=Path, default=JUDGE)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--blind", type=Path)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=250, help="scenes drawn and shuffled together")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--training", type=int, default=0, help="scenes to look for copies among")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="draw in bfloat16 on a CPU too")
    args = parser.parse_args()
    torch.set_autocast_enabled("cpu", args.bfloat16)
    sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))
    from arms import RULES

    model = load_model(args.model).to(args.device)
    blind = None if args.blind is None else load_model(args.blind).to(args.device)
    corpus = build_corpus(range(UNSEEN, UNSEEN + args.n), rules=RULES["A"], device=args.device)
    training = None
    if args.training:
        training = build_corpus(range(args.training), rules=RULES["A"], device=args.device).pixels
    measured = measure_adherence(
        model,
        extraction_of(model),
        load_judge(args.judge, args.device),
        corpus,
        blind=blind,
        recipe=SamplingRecipe(steps=args.steps, guidance=args.guidance, max_batch=250),
        chunk=args.chunk,
    )
    write(measured, corpus, list(model.names), args.out, training)
    print(markdown(measured.facts))


if __name__ == "__main__":
    main()
