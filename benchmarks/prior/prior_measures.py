"""What the prior of scenes adds, on scenes that nobody has seen.

    python benchmarks/prior/prior_measures.py --out DIR [--prior scenes-prior] [-n 200]
        [--pictures 200] [--each 2] [--steps 12] [--bfloat16]

Embeddings: retrieval of the right picture among 100, cosine to the true embedding, and how far
apart several predictions of one caption are, each beside the caption's own embedding. Pictures:
drawn by the base model from a caption alone and from the caption with a predicted embedding (the
prior guided, and not), from the same noise; how far apart those of one caption are, and what the
judge finds in them. 95% bootstrap over captions. Pictures are drawn in parts of `--part` captions
and the table is written after each, so that a run may be stopped.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import prior_data  # noqa: F401  (the folders of the scene model's benchmarks)
import torch
import torch.nn.functional as F
from arms import RULES
from bank import build_bank
from bootstrap import mean_interval, shown
from corpus import UNSEEN, Corpus, build_corpus
from drawing import draw, to_bytes
from jaxtyping import Float
from torch import Tensor

from composer_pl.evaluation.control.copies import thumbnails
from composer_pl.evaluation.scenes.judge import load_judge, read_pictures
from composer_pl.evaluation.scenes.scores import scores
from composer_pl.evaluation.scenes.truth import claimed_pairs, whole_truth
from composer_pl.models.base import ComposerModel
from composer_pl.models.prior import PriorModel
from composer_pl.models.prior_sampling import PriorRecipe, sample_embeddings
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys
from composer_pl.models.storage import load_model, load_prior
from composer_pl.plugin.values import to_canvas
from composer_pl.randomness import derive_key
from composer_pl.sheet import Panel, contact_sheet

GALLERY = 100
DRAWS = 4
ALONE = "caption alone"
ARMS: dict[str, PriorRecipe | None] = {
    ALONE: None,
    "with prior": PriorRecipe(),
    "with prior, unguided": PriorRecipe(guidance=1.0),
}
"""What pictures are drawn from, and how the prior samples."""
GUIDANCES = (1.0, 2.0, 3.0, 4.0)
FEW = 16
"""Steps of the sweep; one row has the default of 64."""


def values_of(corpus: Corpus, model: ComposerModel) -> dict[str, Tensor]:
    """The first caption's value of each scene, and the picture's embedding."""
    plugins = {name: model.plugins[name] for name in ("caption", "semantics")}
    bank = build_bank(corpus, plugins, torch.zeros(0, 1, 64, 64, dtype=torch.bool))
    caption = bank.fixed["caption"].unflatten(0, (len(corpus), -1))[:, 0]
    return {"caption": caption.float(), "semantics": bank.fixed["semantics"].float()}


def predictions(
    prior: PriorModel, caption: Tensor, recipe: PriorRecipe, draws: int = DRAWS, seed: int = 0
) -> Float[Tensor, "n draws d"]:
    """Several embeddings of each caption; each caption has noise of its own."""
    count = len(caption)
    keys = [derive_key(seed, "prior benchmark", i, j) for i in range(count) for j in range(draws)]
    rows = caption.repeat_interleave(draws, 0)
    drawn = sample_embeddings(prior, rows, recipe, keys=torch.tensor(keys))
    return drawn.unflatten(0, (count, draws))


def ranks(asked: Float[Tensor, "n d"], true: Float[Tensor, "n d"]) -> Tensor:
    """Place of the right picture, from 1, among galleries of `GALLERY` pictures."""
    found = []
    for first in range(0, len(true) - GALLERY + 1, GALLERY):
        part = slice(first, first + GALLERY)
        alike = F.normalize(asked[part], dim=1) @ F.normalize(true[part], dim=1).T
        found.append((alike > alike.diagonal()[:, None]).sum(1) + 1)
    return torch.cat(found)


def apart(drawn: Float[Tensor, "n k d"]) -> Float[Tensor, " n"]:
    """Mean 1 - cosine of two of several embeddings."""
    unit = F.normalize(drawn, dim=2)
    k = drawn.shape[1]
    alike = (unit @ unit.transpose(1, 2)).sum((1, 2)) - k
    return 1 - alike / (k * (k - 1))


def embedding_marks(asked: Tensor, true: Tensor) -> dict[str, list[float]]:
    """Retrieval and cosine of one embedding a caption, with intervals."""
    place = ranks(asked, true)
    return {
        "right picture first": mean_interval((place == 1).float()),
        "among the first five": mean_interval((place <= 5).float()),
        "cosine": mean_interval(F.cosine_similarity(asked, true)),
    }


def measure_embeddings(prior: PriorModel, values: Mapping[str, Tensor]) -> dict[str, Any]:
    """All that concerns embeddings alone."""
    caption, true = values["caption"], values["semantics"]
    sentence = prior.sentence(caption)
    rows: dict[str, Any] = {"caption's own embedding": embedding_marks(sentence, true)}
    recipes = {f"guidance {w:g}": PriorRecipe(steps=FEW, guidance=w) for w in GUIDANCES}
    recipes["guidance 3, best of two"] = PriorRecipe(steps=FEW, best_of=2)
    recipes["guidance 3, dpmpp_2m"] = PriorRecipe(steps=FEW, sampler="dpmpp_2m")
    recipes["guidance 3, 64 steps"] = PriorRecipe()
    for name, recipe in recipes.items():
        drawn = predictions(prior, caption, recipe)
        marks: dict[str, Any] = embedding_marks(drawn[:, 0], true)
        rows[f"predicted, {name}"] = {**marks, "apart": mean_interval(apart(drawn))}
        if recipe == PriorRecipe():
            mean = F.normalize(drawn, dim=2).mean(1)
            rows[f"mean of {DRAWS} such predictions"] = embedding_marks(mean, true)
    unit = F.normalize(true, dim=1)
    rows["true embeddings of different scenes"] = {
        "apart": mean_interval(1 - (unit * unit.roll(1, 0)).sum(1))
    }
    return {"captions": len(true), "draws": DRAWS, "steps": FEW, "rows": rows}


def measure_pictures(
    base: ComposerModel,
    prior: PriorModel,
    corpus: Corpus,
    values: Mapping[str, Tensor],
    recipe: SamplingRecipe,
    *,
    count: int,
    each: int,
    part: int,
    written: Callable[[dict[str, Any], dict[str, Tensor]], None],
) -> None:
    """Draw and score pictures with and without the prior, `part` captions at a time."""
    judge, truth, claimed = load_judge(), whole_truth(corpus), claimed_pairs(corpus.scenes)
    plugin = base.plugins["semantics"]
    tower = plugin.build_extractor()
    found: dict[str, dict[str, list[Tensor]]] = {arm: {} for arm in ARMS}
    kept: dict[str, list[Tensor]] = {name: [] for name in found}
    began = time.monotonic()
    for first in range(0, count, part):
        rows = torch.arange(first, min(first + part, count))
        caption = values["caption"][rows].repeat_interleave(each, 0)
        keys = sample_keys(first, len(caption))
        for arm, asked in ARMS.items():
            told = {"caption": caption}
            if asked is not None:
                embedding = predictions(prior, values["caption"][rows], asked, each, seed=first)
                told["semantics"] = embedding.flatten(0, 1)
            drawn = draw(base, told, recipe, keys)
            marks = _marks(drawn, each)
            image = to_canvas(drawn, plugin, (64, 64))
            marks["embeddings apart"] = apart(tower(image).unflatten(0, (-1, each)))
            reading = read_pictures(judge, drawn)
            owner = rows.repeat_interleave(each)
            recall, f1 = scores("caption", drawn, reading, truth[owner], claimed=claimed[owner])
            marks["claimed pairs found"] = recall.unflatten(0, (-1, each)).nanmean(1)
            marks["claimed pairs, F1"] = f1.unflatten(0, (-1, each)).mean(1)
            for name, mark in marks.items():
                found[arm].setdefault(name, []).append(mark)
            kept[arm].append(to_bytes(drawn))
        whole = {a: {n: torch.cat(m) for n, m in marks.items()} for a, marks in found.items()}
        alone = whole[ALONE]
        facts: dict[str, Any] = {
            "captions": len(rows) + first,
            "pictures of each": each,
            "steps": recipe.steps,
            "guidance": recipe.guidance,
            "rows": {a: {n: mean_interval(m) for n, m in v.items()} for a, v in whole.items()},
        }
        for arm in (arm for arm in ARMS if arm != ALONE):
            facts["rows"][f"{arm}, gained"] = {
                name: mean_interval(whole[arm][name] - alone[name]) for name in alone
            }
        written(facts, {arm: torch.cat(parts) for arm, parts in kept.items()})
        print(f"{facts['captions']} captions, {time.monotonic() - began:.0f} s", flush=True)


def _marks(drawn: Tensor, each: int) -> dict[str, Tensor]:
    """How far apart the pictures of one caption are: root mean square at 32 px."""
    flat = thumbnails(to_bytes(drawn)).unflatten(0, (-1, each))
    away = torch.cdist(flat, flat).sum((1, 2)) / (each * (each - 1)) / flat.shape[2] ** 0.5
    return {"pixels apart": away}


def table(rows: Mapping[str, Mapping[str, list[float]]]) -> str:
    """A table for a README."""
    names = list(dict.fromkeys(name for marks in rows.values() for name in marks))
    lines = [f"| | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for row, marks in rows.items():
        cells = [shown(marks[name]) if name in marks else "" for name in names]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sheet(corpus: Corpus, pictures: Mapping[str, Tensor], each: int, count: int = 8) -> Any:
    """Caption, true picture, and what was drawn of it, one row a caption."""
    done = len(pictures[ALONE]) // each
    panels = []
    for row in torch.linspace(0, done - 1, min(count, done)).long().tolist():
        line = [
            Panel(title=f"scene {row}", content=corpus.pixels[row] / 255),
            Panel(title="caption", content=corpus.texts[row][0]),
        ]
        for arm, drawn in pictures.items():
            line += [
                Panel(title=f"-> {arm}", content=drawn[row * each + i] / 255) for i in range(each)
            ]
        panels.append(line)
    return contact_sheet(panels, cell=96)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prior", default="scenes-prior")
    parser.add_argument("--model", default="scenes-64")
    parser.add_argument("-n", type=int, default=200, help="captions, a multiple of 100")
    parser.add_argument("--pictures", type=int, default=200, help="captions to draw; 0 for none")
    parser.add_argument("--each", type=int, default=2, help="pictures a caption and arm")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--part", type=int, default=20, help="captions drawn together")
    parser.add_argument("--bfloat16", action="store_true", help="draw in bfloat16 on a CPU too")
    parser.add_argument(
        "--keep-embeddings", action="store_true", help="take their table from an earlier run"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    base, prior = load_model(args.model), load_prior(args.prior)
    corpus = build_corpus(range(UNSEEN, UNSEEN + args.n), rules=RULES["A"], texts=1, batch=64)
    values = values_of(corpus, base)
    before = args.out / "prior.json"
    if args.keep_embeddings:
        facts = {"embeddings": json.loads(before.read_text())["embeddings"]}
    else:
        facts = {"embeddings": measure_embeddings(prior, values)}

    def write(pictures: dict[str, Any] | None = None) -> None:
        text = table(facts["embeddings"]["rows"])
        if pictures is not None:
            facts["pictures"] = pictures
            text += "\n" + table(pictures["rows"])
        (args.out / "prior.json").write_text(json.dumps(facts, indent=1) + "\n")
        (args.out / "prior.md").write_text(text)

    def written(pictures: dict[str, Any], drawn: dict[str, Tensor]) -> None:
        write(pictures)
        sheet(corpus, drawn, args.each).save(args.out / "prior.png", optimize=True)

    write()
    print(table(facts["embeddings"]["rows"]), flush=True)
    if args.pictures:
        torch.set_autocast_enabled("cpu", args.bfloat16)
        measure_pictures(
            base,
            prior,
            corpus,
            values,
            SamplingRecipe(steps=args.steps, guidance=args.guidance, max_batch=40),
            count=min(args.pictures, args.n),
            each=args.each,
            part=args.part,
            written=written,
        )


if __name__ == "__main__":
    main()
