"""Lease of one long training, first program, twice: scenes in files, until there are enough.

python benchmarks/scene_model/lease/long_scenes.py --work DIR --plan full --part 0 --parts 2

Several run beside each other, as one keeps neither the CPUs nor the GPU busy. Part k makes the
files k, k + parts, ... of `long_plan.Amounts.chunk` scenes each, with the values of all conditions.
"""

import argparse
from pathlib import Path

from desk import CONFIG, Desk  # isort: skip
import arms
from bank import build_bank, draw_masks_bank
from building import build_plugins, read_config
from corpus import UNSEEN, Corpus, build_corpus
from long_plan import AMOUNTS, ENOUGH, bank_name, done_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--plan", choices=AMOUNTS, default="tiny")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    desk, amounts = Desk(args.work, args.plan, f"scenes {args.part}"), AMOUNTS[args.plan]
    workers = desk.plan.workers // args.parts

    def corpus(first: int, count: int) -> Corpus:
        return build_corpus(
            range(first, first + count),
            rules=arms.RULES["A"], device=desk.device, workers=workers, log=desk.log,
        )  # fmt: skip

    plugins = build_plugins(read_config(CONFIG))
    masks = draw_masks_bank(desk.plan.masks, workers=workers)
    for number in range(args.part, amounts.chunks, args.parts):
        enough = (args.work / ENOUGH).exists() or desk.seconds > amounts.render_seconds
        if enough and number >= amounts.least_chunks:
            break
        scenes = corpus(number * amounts.chunk, amounts.chunk)
        desk.put(bank_name(number), build_bank(scenes, plugins, masks, log=lambda text: None))
        del scenes
    desk.put(done_name(args.part), None)
    if args.part == 0:
        desk.put("unseen.pt", corpus(UNSEEN, desk.plan.unseen))
    desk.log("end")


if __name__ == "__main__":
    main()
