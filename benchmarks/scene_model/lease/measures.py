"""Lease, last program: the composition experiment of both arms, and the adherence of the model.

python benchmarks/scene_model/lease/measures.py composition --work DIR --out OUT --plan full
"""

import argparse
import json
from pathlib import Path

from desk import Desk  # isort: skip
from bank import Bank
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
    parser.add_argument("--model", default="base-A", help="of the products, for adherence")
    parser.add_argument("--blind", help="of the products: a model that was given nothing")
    parser.add_argument("--trained", default="bank-A.pt", help="training pictures, or their bank")
    parser.add_argument("--guidance", type=float, nargs="+", default=[3.0, 5.0])
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
        unseen, bank = desk.get("unseen.pt"), desk.get(args.trained)
        trained = bank.x_0 if isinstance(bank, Bank) else bank
        there = args.blind and (products.folder / args.blind / "model.safetensors").exists()
        blind = model(args.blind) if there else None
        names = []
        for guidance in args.guidance:
            own = guidance == args.guidance[0]
            names.append(f"adherence-{guidance:g}")
            recipe = SamplingRecipe(steps=2 * steps + 5, guidance=guidance, max_batch=256)
            ways = adherence_of(
                model(args.model), judge, unseen, trained, products.folder / names[-1], recipe,
                own=own, blind=blind, log=desk.log,
            )  # fmt: skip
            desk.log(f"{names[-1]}: {json.dumps(ways)}")
            products.pack_only(names, "adherence")

    {"composition": composition, "adherence": adherence}[args.what]()
    desk.log("end")


if __name__ == "__main__":
    main()
