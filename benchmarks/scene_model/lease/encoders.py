"""Lease of its own: the tiny encoders and the judge, measured; before any model that uses them.

python benchmarks/scene_model/lease/encoders.py --work DIR --out OUT --plan full

Blanks the encoders that this checkout ships, trains all of them, and packs them for
`install_weights.py`. A model trained with other encoders must be trained again.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desk import Desk  # isort: skip
import arms
import clip
import depth
import judge
from corpus import UNSEEN, Corpus, build_corpus
from install_weights import blank
from products import Products

from composer_pl.evaluation.scenes.judge import judge_of, save_judge
from composer_pl_instances import measuring, training
from composer_pl_instances.plugin import Instances


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Scenes of the encoders and of the judge, unseen ones; steps and batch of each training."""

    scenes: int
    judged: int
    unseen: int
    clip: tuple[int, int]
    depth: tuple[int, int]
    instances: tuple[int, int]
    instances_seconds: float
    judge: tuple[int, int]


AMOUNTS = {
    "tiny": Amounts(
        scenes=24, judged=16, unseen=4, clip=(2, 16), depth=(2, 4), instances=(2, 8),
        instances_seconds=60, judge=(2, 8),
    ),
    "full": Amounts(
        scenes=18_000, judged=10_000, unseen=256, clip=(700, 1024), depth=(650, 256),
        instances=(2000, 128), instances_seconds=38, judge=(1100, 256),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", choices=AMOUNTS, default="tiny")
    args = parser.parse_args()
    blank()  # others than the declared files would be refused
    desk, products = Desk(args.work, args.plan, "encoders"), Products(args.out, args.work)
    amounts, device, facts = AMOUNTS[args.plan], desk.device, {}
    folder = products.folder / "encoders"

    def corpus(count: int, rules: str, *, first: int = 0, seed: int = 0, texts: int = 3) -> Corpus:
        return build_corpus(
            range(first, first + count), rules=arms.RULES[rules], seed=seed, device=device,
            texts=texts, workers=desk.plan.workers, log=desk.log,
        )  # fmt: skip

    def done(name: str, measured: Any) -> None:
        facts[name] = measured
        desk.log(f"{name}: {measured}")
        products.write_json("facts.json", facts)
        products.pack()

    scenes, unseen = corpus(amounts.scenes, "A"), corpus(amounts.unseen, "A", first=UNSEEN)
    steps, batch = amounts.clip
    state = clip.train_clip(scenes, steps=steps, batch=batch, device=device, seed=0, log=desk.log)
    clip.save_clip(state, folder)
    products.install_encoders()
    done("clip", clip.measure_clip(unseen))

    steps, batch = amounts.depth
    state = depth.train_depth(scenes, steps=steps, batch=batch, device=device, seed=0, log=desk.log)
    depth.save_depth(state, folder)
    products.install_encoders()
    done("depth", depth.measure_depth(unseen))

    steps, batch = amounts.instances
    state = training.train(
        scenes.pixels, scenes.ids, scenes.attributes, steps=steps, batch=batch, device=device,
        seed=0, seconds=amounts.instances_seconds, log=desk.log,
    )  # fmt: skip
    path = folder / "yolo-tiny-scenes-seg.safetensors"
    training.save(state, path)
    products.install_encoders()
    extractor = (
        Instances(model="tiny-scenes", weights_file=str(path), canvas=256)
        .build_extractor()
        .to(device)
    )
    truth = (unseen.pixels, unseen.ids, unseen.attributes)
    done("instances", measuring.measure(extractor, *truth))

    steps, batch = amounts.judge
    seen = corpus(amounts.judged, "judge", seed=1, texts=1)
    state = judge.train_judge(seen, steps=steps, batch=batch, device=device, seed=0, log=desk.log)
    save_judge(state, products.folder / "judge.safetensors")
    others = corpus(amounts.unseen // 2, "judge", first=UNSEEN, seed=1, texts=1)
    done("judge", judge.measure_judge(judge_of(state, device), others))


if __name__ == "__main__":
    main()
