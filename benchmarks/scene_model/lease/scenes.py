"""Lease, first program: scenes of both arms with the values of their conditions, test scenes.

python benchmarks/scene_model/lease/scenes.py --work DIR --plan full
"""

import argparse
from pathlib import Path

from desk import CONFIG, Desk  # isort: skip
import arms
from bank import build_bank, draw_masks_bank
from building import build_plugins, read_config
from corpus import UNSEEN, Corpus, build_corpus
from score import make_scenes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--plan", default="tiny")
    args = parser.parse_args()
    desk = Desk(args.work, args.plan, "scenes")
    plan = desk.plan

    def corpus(count: int, rules: str, first: int = 0) -> Corpus:
        return build_corpus(
            range(first, first + count),
            rules=arms.RULES[rules], device=desk.device, workers=plan.workers, log=desk.log,
        )  # fmt: skip

    plugins = build_plugins(read_config(CONFIG))
    masks = draw_masks_bank(plan.masks, workers=plan.workers)
    for arm, count in (("A", plan.scenes), ("B", plan.compared)):
        bank = build_bank(corpus(count, arm), plugins, masks, log=desk.log)
        desk.put(f"bank-{arm}.pt", bank)
        del bank
        if arm == "A":
            desk.put("unseen.pt", corpus(plan.unseen, "A", UNSEEN))
    tests = make_scenes(plan.composed, device=desk.device)
    desk.put("tests.pt", tests)
    desk.log("end")


if __name__ == "__main__":
    main()
