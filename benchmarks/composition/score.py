"""Run the composition experiment as planned in `README.md`: draw, judge, contrast, write.

    python benchmarks/composition/score.py --arm A=FOLDER --arm B=FOLDER --out DIR [--judge FILE]
        [--pictures 1440] [--steps 20] [--device cuda | --bfloat16]

One arm alone is scored without contrasts; `--sets` draws some of the sets. Arms named "A/1" and
"B/1" are short runs of another seed: reported beside, on the sets of `SHORT`.
Cases, drawing and marks are `composer_pl.evaluation.composition`, which asks any model alone (the
command `eval composition`); here are what arm B is for and the contrasts between arms.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

for _folder in (Path(__file__).parent, Path(__file__).parents[1] / "scene_model"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from cases import SceneSets, make_scenes  # noqa: E402
from drawing import extraction_of, to_bytes  # noqa: E402
from report import Composed, markdown, write  # noqa: E402
from sets import SHORT, Run, condition_pair, materials, pairs  # noqa: E402

from composer_pl.conditions.extraction import Extraction  # noqa: E402
from composer_pl.evaluation.composition.pair_sets import first_of_each  # noqa: E402
from composer_pl.evaluation.scenes.judge import Judge, load_judge  # noqa: E402
from composer_pl.evaluation.scenes.truth import small  # noqa: E402
from composer_pl.models.base import ComposerModel  # noqa: E402
from composer_pl.models.recipe import SamplingRecipe  # noqa: E402
from composer_pl.models.storage import load_model  # noqa: E402

__all__ = ["SETTINGS", "SHORT", "SceneSets", "make_scenes", "run_composition"]

SETTINGS = ("caption", "two objects", "two pictures", "caption and depth", "pair", "material")
"""The sets of the plan."""


def run_composition(
    models: Mapping[str, ComposerModel],
    extraction: Extraction,
    judge: Judge,
    *,
    device: torch.device | str,
    pictures: int = 1440,
    seed: int = 5,
    recipe: SamplingRecipe | None = None,
    scenes: SceneSets | None = None,
    settings: Sequence[str] = SETTINGS,
    log: Callable[[str], None] = print,
) -> Composed:
    """Draw every set for every arm from the same values and noise, and judge it.

    Args:
        models: "A", "B", and perhaps "A/1", "B/1", ...: in evaluation mode, on `device`.
        extraction: Extractors that all arms share.
        judge: On `device`.
        device: Where to work.
        pictures: Of each main set and arm.
        seed: Of noise, masks and the choice of donors.
        recipe: None takes 20 steps, guidance 2.
        scenes: Made ahead by `make_scenes`; None makes them here.
        settings: Which sets.
        log: Told the progress.
    """
    recipe = recipe or SamplingRecipe(steps=20, guidance=2.0, max_batch=360)
    scenes = scenes or make_scenes(pictures, device=device)
    run = Run(models=models, extraction=extraction, judge=judge, recipe=recipe, seed=seed)
    facts: dict[str, Any] = {
        "pictures": len(scenes.held),
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "sets": {},
        "contrasts": {},
    }
    first = first_of_each(scenes.held.asked)
    composed = Composed(facts=facts, texts=[scenes.held.texts[row] for row in first.tolist()])
    began = time.monotonic()
    for setting in settings:
        if setting == "pair":
            found = condition_pair(run, scenes)
        elif setting == "material":
            found = materials(run, scenes)
        else:
            found = pairs(run, scenes, setting, composed.examples)
        facts["sets"][setting], facts["contrasts"][setting] = found
        log(f"composition: {setting}, {time.monotonic() - began:.0f} s")
    true = scenes.held.pixels[first.to(scenes.held.pixels.device)]
    composed.examples["true"] = to_bytes(small(true))
    return composed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", action="append", required=True, help="NAME=FOLDER")
    parser.add_argument("--judge", type=Path, help="default: the shipped one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1440)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--sets", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="draw in bfloat16 on a CPU too")
    args = parser.parse_args()
    torch.set_autocast_enabled("cpu", args.bfloat16)
    folders = dict(arm.split("=", 1) for arm in args.arm)
    models = {name: load_model(folder).to(args.device) for name, folder in folders.items()}
    composed = run_composition(
        models,
        extraction_of(models["A"]),
        load_judge(args.judge, args.device),
        device=args.device,
        pictures=args.pictures,
        recipe=SamplingRecipe(steps=args.steps, guidance=args.guidance, max_batch=360),
        settings=args.sets,
    )
    write(composed, args.out)
    print(markdown(composed.facts))


if __name__ == "__main__":
    main()
