"""How well a scene model obeys each condition, on scenes that nobody has seen.

    python benchmarks/scene_model/adherence.py --out DIR [--model FOLDER] [-n 1000]
        [--blind FOLDER] [--training 18000 | --bank FILE ...] [--device cuda | --bfloat16]

The protocol is that of `composer-pl eval control` (`composer_pl.evaluation.control`), without
pairs and with the scenes of the shipped model's training rules.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from adherence_report import Measured, markdown, write
from bootstrap import listed, mean_interval
from corpus import UNSEEN, Corpus, build_corpus
from drawing import extraction_of

from composer_pl.conditions.extraction import Extraction
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.evaluation.composition.pairs import HELD_OUT
from composer_pl.evaluation.control.copies import thumbnails, variety
from composer_pl.evaluation.control.measure import (
    ALL,
    NONE,
    TRUTH,
    ControlPlan,
    drawing_of,
    measure_control,
)
from composer_pl.evaluation.control.pictures import SceneTruth
from composer_pl.evaluation.control.results import Line, lines_of
from composer_pl.evaluation.control.scorers import OWN, panel
from composer_pl.evaluation.control.subjects import wanted_of
from composer_pl.evaluation.plain import luma, psnr, ssim
from composer_pl.evaluation.samples import Samples
from composer_pl.evaluation.scenes.judge import Judge, load_judge
from composer_pl.evaluation.scenes.truth import claimed_pairs, small, whole_truth
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.storage import load_model
from composer_pl.randomness import derive_key
from composer_pl.types import Batch

PRETRAINED = Path(__file__).parents[2] / "src/composer_pl/pretrained/scenes-64"


def samples_of(corpus: Corpus, *, seed: int) -> Samples:
    """A corpus as pictures to evaluate on, each with its first caption."""
    count = len(corpus)
    keys = torch.tensor([derive_key(seed, "values", i) for i in range(count)])
    batch = Batch(
        source=corpus.pixels.float() / 127.5 - 1,
        image=small(corpus.pixels),
        caption=[texts[0] for texts in corpus.texts],
        index=torch.arange(count),
        key=keys,
        identity=keys,
    )
    return Samples(batch=batch, facts={"pictures": "scenes", "count": count})


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
        own: Also ask the plugins' own extractors, seven times a scene and condition.
        chunk: Scenes at once.
        seed: Of noise, masks and grey weights.
        log: Told the progress.
    """
    recipe = recipe or SamplingRecipe(steps=25, guidance=2.0, max_batch=chunk)
    device = corpus.pixels.device
    half = device.type == "cuda" or torch.is_autocast_enabled("cpu")
    samples = samples_of(corpus, seed=seed)
    names = list(model.names)
    wanted, _ = wanted_of(samples, extraction, names, scenes=None, device=device)
    claimed = claimed_pairs(corpus.scenes).to(device)
    scene = SceneTruth(truth=whole_truth(corpus), claimed=claimed)
    scorers = [
        scorer
        for scorer in panel(extraction, list(wanted.values), scenes=True)
        if own or scorer.name != OWN
    ]
    began = time.monotonic()

    def told(done: int, total: int) -> None:
        log(f"adherence {done}/{total} pictures {time.monotonic() - began:.0f} s")

    control = measure_control(
        list(wanted.values),
        scorers,
        wanted.knowing(scene),
        drawing_of(model, recipe, bfloat16=half),
        ControlPlan(seed=seed, chunk=chunk),
        judge=judge,
        blind=None if blind is None else drawing_of(blind, recipe, bfloat16=half),
        progress=told,
    )
    again, true = (control.pictures[arm].float() / 127.5 - 1 for arm in (ALL, TRUTH))
    decibels = psnr(again, true)
    facts = {
        "pictures": len(corpus),
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "blind": "a model without conditions" if blind is not None else "nothing given",
        "table": [_row(line) for line in lines_of(control)],
        "all_given": {
            "psnr": mean_interval(decibels),
            "luma_ssim": mean_interval(ssim(luma(again), luma(true))),
        },
        "none_given": {
            "variety": round(variety(thumbnails(control.pictures[NONE])), 4),
            "variety_of_truth": round(variety(thumbnails(control.pictures[TRUTH])), 4),
        },
    }
    return Measured(facts=facts, control=control, closeness=decibels)


def _row(line: Line) -> dict[str, Any]:
    assert line.whole is not None, "a scene model has several conditions"
    found = {
        "ceiling": line.ceiling,
        "alone": line.alone,
        "all": line.whole,
        "shuffled": line.floor,
        "blind": line.blind,
        "way": line.way,
        "blind_way": line.blind_way,
    }
    told = {"condition": line.scorer.condition, "scorer": line.scorer.name}
    return told | {what: listed(interval) for what, interval in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=PRETRAINED)
    parser.add_argument("--judge", type=Path, help="default: the shipped one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--blind", type=Path)
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=250, help="scenes drawn together")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--training", type=int, default=0, help="scenes to look for copies among")
    parser.add_argument("--bank", type=Path, nargs="+", help="or among those of `sittings.py bank`")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="draw in bfloat16 on a CPU too")
    args = parser.parse_args()
    torch.set_autocast_enabled("cpu", args.bfloat16)
    model = load_model(args.model).to(args.device)
    blind = None if args.blind is None else load_model(args.blind).to(args.device)
    rules = SceneRules(max_objects=3, excluded=HELD_OUT)
    corpus = build_corpus(range(UNSEEN, UNSEEN + args.n), rules=rules, device=args.device)
    training = None
    if args.training:
        training = build_corpus(range(args.training), rules=rules, device=args.device).pixels
    elif args.bank:
        parts = [torch.load(bank, weights_only=True)["x_0"] for bank in args.bank]
        training = torch.cat(parts).to(args.device)
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
