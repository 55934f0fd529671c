"""Lease, last program: the composition experiment of both arms, and the adherence of the model.

python benchmarks/scene_model/lease/measures.py composition --work DIR --out OUT --plan full
"""

import argparse
import json
from pathlib import Path

from desk import Desk  # isort: skip
from measure import adherence_of, composition_of
from products import Products
from score import SETTINGS

from composer_pl.evaluation.scenes.judge import load_judge
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.storage import load_model

LAST = ("two objects", "caption and depth")
"""Sets that are drawn if the clock allows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("composition", "adherence"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", default="tiny")
    args = parser.parse_args()
    desk = Desk(args.work, args.plan, args.what)
    products = Products(args.out, args.work)
    steps = 10 if desk.device.type == "cuda" else 1
    judge = load_judge(device=desk.device)

    def model(name: str) -> ComposerModel:
        return load_model(products.folder / name).to(desk.device)

    def composition() -> None:
        models = {"A": model("base-A-early"), "B": model("base-B"), "A/long": model("base-A")}
        scenes = desk.get("tests.pt", 60)
        first = tuple(name for name in SETTINGS if name not in LAST)
        for name, sets in (("composition", first), ("composition-last", LAST)):
            composition_of(
                models, judge, scenes, products.folder / name, sets, steps=steps, log=desk.log
            )
            products.pack_only(("composition", "composition-last"), "composition")

    def adherence() -> None:
        unseen, bank = desk.get("unseen.pt"), desk.get("bank-A.pt")
        names = []
        for guidance, own in ((3.0, False), (5.0, False), (3.0, True)):
            names.append(f"adherence-{guidance:g}{'-own' if own else ''}")
            recipe = SamplingRecipe(steps=2 * steps + 5, guidance=guidance, max_batch=256)
            ways = adherence_of(
                model("base-A"), judge, unseen, bank.x_0, products.folder / names[-1], recipe,
                own=own, log=desk.log,
            )  # fmt: skip
            desk.log(f"{names[-1]}: {json.dumps(ways)}")
            products.pack_only(names, "adherence")

    {"composition": composition, "adherence": adherence}[args.what]()
    desk.log("end")


if __name__ == "__main__":
    main()
