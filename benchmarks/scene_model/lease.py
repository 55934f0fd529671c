"""Everything that was trained and measured on the lent GPU, in one run of ten minutes.

    python benchmarks/scene_model/lease.py --out OUT --plan full      # or: smoke, tiny (on a CPU)

Renders the scenes, trains the tiny encoders, the judge, both arms of the base model and the
upsampler from device memory, measures them, and writes weights in half precision. What a phase has
finished is written before the next begins; a phase that fails is reported and the rest goes on.
"""

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "composition")]

import arms  # noqa: E402
from bank import build_bank, draw_masks_bank  # noqa: E402
from base import build_model, build_plugins, read_config, reset, train_base  # noqa: E402
from corpus import UNSEEN, build_corpus  # noqa: E402
from products import Products  # noqa: E402

CONFIG = HERE.parents[1] / "configs" / "scenes.yaml"


@dataclass(kw_only=True)
class Plan:
    """How much of everything.

    Attributes:
        scenes: Training scenes of an arm.
        judged: Training scenes of the judge.
        unseen: Scenes of the measurements.
        masks: Holes in the bank.
        clip: Steps and batch; likewise below.
        base_seconds: Seconds of each arm.
        base: Most steps, and batch.
        compile: Whether base model and upsampler are compiled.
        composed: Pictures of each main set of the composition experiment, and steps of sampling.
        workers: Processes for descriptions, captions and masks.
    """

    scenes: int
    judged: int
    unseen: int
    masks: int
    clip: tuple[int, int]
    depth: tuple[int, int]
    instances: tuple[int, int]
    instances_seconds: float
    judge: tuple[int, int]
    upsampler: tuple[int, int]
    base: tuple[int, int]
    base_seconds: float
    compile: bool
    composed: int
    composed_steps: int
    workers: int


PLANS = {
    "tiny": Plan(
        scenes=24, judged=16, unseen=4, masks=32, clip=(2, 16), depth=(2, 4), instances=(2, 8),
        instances_seconds=60,
        judge=(2, 8), upsampler=(2, 4), base=(3, 4), base_seconds=60, compile=False, composed=24,
        composed_steps=1, workers=0,
    ),
    "smoke": Plan(
        scenes=4096, judged=2048, unseen=512, masks=512, clip=(40, 1024), depth=(30, 256),
        instances=(30, 128), instances_seconds=20, judge=(40, 256), upsampler=(30, 128),
        base=(60, 512), base_seconds=30, compile=True, composed=96, composed_steps=15, workers=16,
    ),
    "full": Plan(
        scenes=80_000, judged=32_000, unseen=768, masks=8192, clip=(1500, 1024), depth=(1200, 256),
        instances=(2000, 128), instances_seconds=50, judge=(1200, 256), upsampler=(1200, 128),
        base=(20_000, 512), base_seconds=120, compile=True, composed=1440, composed_steps=15,
        workers=16,
    ),
}  # fmt: skip


class Lease:
    """Runs phases, each in its own try, and keeps what they give."""

    def __init__(self, out: Path, plan: Plan, device: torch.device):
        self.plan, self.device = plan, device
        self.began = time.monotonic()
        self.products = Products(out)
        self.facts: dict[str, Any] = {"plan": str(plan), "torch": torch.__version__}
        if device.type == "cuda":
            self.facts["device"] = torch.cuda.get_device_name()

    def log(self, text: str) -> None:
        """One line with the seconds since the beginning."""
        print(f"[{time.monotonic() - self.began:6.1f}] {text}", flush=True)

    def phase(self, name: str, work: Callable[[], Any], *, save: bool = False) -> Any:
        """Run a phase; its answer, when it is plain data, becomes a fact."""
        began = time.monotonic()
        self.log(f"== {name}")
        try:
            answer = work()
        except Exception:
            self.log(f"FAILED {name}\n{traceback.format_exc()}")
            self.facts[f"failed {name}"] = traceback.format_exc(limit=3)
            answer = None
        seconds = round(time.monotonic() - began, 1)
        self.facts.setdefault("seconds", {})[name] = seconds
        if isinstance(answer, dict) and all(isinstance(key, str) for key in answer):
            plain = {k: v for k, v in answer.items() if not isinstance(v, torch.Tensor)}
            if plain:
                self.facts[name] = plain
                self.log(f"{name}: {json.dumps(plain, default=str)[:1500]}")
        self.products.write_json("facts.json", self.facts)
        if save:
            self.products.pack()
        self.log(f"-- {name}: {seconds} s")
        return answer


def run(lease: Lease) -> None:
    """All phases."""
    import clip
    import depth
    import judge as judging
    from measure import adherence_of, composition_of
    from score import make_scenes
    from upsampler import measure_upsampler, train_upsampler

    from composer_pl.models.upsampler import UpsamplerModel
    from composer_pl_instances import measuring, training
    from composer_pl_instances.plugin import Instances

    plan, device, products = lease.plan, lease.device, lease.products
    held_out, second, everything = (arms.RULES[name] for name in ("A", "B", "judge"))

    def corpus(count: int, rules: Any, *, first: int = 0, seed: int = 0, texts: int = 3) -> Any:
        return build_corpus(
            range(first, first + count),
            rules=rules, seed=seed, device=device, texts=texts, workers=plan.workers, log=lease.log,
        )  # fmt: skip

    masks = lease.phase("masks", lambda: draw_masks_bank(plan.masks, workers=plan.workers))
    scenes = lease.phase("scenes A", lambda: corpus(plan.scenes, held_out))
    unseen = lease.phase("scenes unseen", lambda: corpus(plan.unseen, held_out, first=UNSEEN))

    def trained_clip() -> dict[str, Any]:
        state = clip.train_clip(
            scenes, steps=plan.clip[0], batch=plan.clip[1], device=device, seed=0, log=lease.log
        )
        clip.save_clip(state, products.folder / "encoders")
        products.install_encoders()
        return clip.measure_clip(unseen)

    def trained_depth() -> dict[str, Any]:
        state = depth.train_depth(
            scenes, steps=plan.depth[0], batch=plan.depth[1], device=device, seed=0, log=lease.log
        )
        depth.save_depth(state, products.folder / "encoders")
        products.install_encoders()
        return depth.measure_depth(unseen)

    def trained_instances() -> dict[str, Any]:
        state = training.train(
            scenes.pixels, scenes.ids, scenes.attributes, steps=plan.instances[0],
            batch=plan.instances[1], device=device, seed=0, seconds=plan.instances_seconds,
            log=lease.log,
        )  # fmt: skip
        path = products.folder / "encoders" / "yolo-tiny-scenes-seg.safetensors"
        training.save(state, path)
        products.install_encoders()
        extractor = Instances(weights_file=str(path), canvas=256).build_extractor().to(device)
        part = slice(0, min(256, len(unseen)))
        return measuring.measure(
            extractor, unseen.pixels[part], unseen.ids[part], unseen.attributes[part]
        )

    lease.phase("clip", trained_clip)
    lease.phase("depth", trained_depth)
    lease.phase("instances", trained_instances, save=True)

    config = read_config(CONFIG)
    plugins = build_plugins(config)
    torch.manual_seed(0)
    model = build_model(config, plugins).to(device)

    def train(bank: Any, arm: str, steps: int) -> Any:
        trained = train_base(
            model, bank, steps=steps, seconds=plan.base_seconds, batch=plan.base[1], seed=0,
            warmup=min(300, plan.base[0] // 3), keep_filter=arms.keep_filter(arm),
            compile=plan.compile, log=lease.log,
        )  # fmt: skip
        products.write_model(f"base-{arm}", model.describe(), trained.weights)
        products.write_json(f"base-{arm}/curve.json", trained.curve)
        lease.facts[f"base {arm}"] = {"steps": trained.steps, "seconds": trained.seconds}
        return trained

    def values(of: Any) -> Any:
        return build_bank(of, plugins, masks, log=lease.log)

    first = lease.phase("base A", lambda: train(values(scenes), "A", plan.base[0]), save=True)

    def trained_upsampler() -> dict[str, Any]:
        description, state, curve = train_upsampler(
            scenes, steps=plan.upsampler[0], batch=plan.upsampler[1], device=device, seed=0,
            warmup=min(200, plan.upsampler[0] // 3), compile=plan.compile, log=lease.log,
        )  # fmt: skip
        products.write_model("upsampler", description, state)
        products.write_json("upsampler/curve.json", curve)
        enlarger = UpsamplerModel.from_description(description)
        enlarger.load_state_dict({n: t.float() for n, t in state.items()})
        return measure_upsampler(enlarger.to(device).eval(), unseen)

    def trained_judge() -> Any:
        seen = corpus(plan.judged, everything, seed=1, texts=1)
        state = judging.train_judge(
            seen, steps=plan.judge[0], batch=plan.judge[1], device=device, seed=0, log=lease.log
        )
        judging.save_judge(state, products.folder / "judge.safetensors")
        judge = judging.judge_of(state, device)
        others = corpus(plan.unseen // 2, everything, first=UNSEEN, seed=1, texts=1)
        lease.facts["judge"] = judging.measure_judge(judge, others)
        lease.log(f"judge: {lease.facts['judge']}")
        return judge

    lease.phase("upsampler", trained_upsampler, save=True)
    judge = lease.phase("judge", trained_judge)
    if first is None or judge is None:
        return

    def second_arm() -> Any:
        reset(model, config, 0)
        return train(values(corpus(plan.scenes, second)), "B", first.steps)

    def loaded(weights: dict[str, torch.Tensor]) -> Any:
        twin = build_model(config, plugins)
        twin.load_state_dict({n: t.float() for n, t in weights.items()})
        return twin.to(device).eval().requires_grad_(False)

    shipped = loaded(first.weights)
    lease.phase(
        "adherence",
        lambda: adherence_of(shipped, judge, unseen, scenes, products.folder, lease.log),
        save=True,
    )
    other = lease.phase("base B", second_arm, save=True)
    if other is None:
        return
    tests = lease.phase(
        "scenes composition",
        lambda: make_scenes(plan.composed, device=device, workers=plan.workers),
    )
    arms_of = {"A": shipped, "B": loaded(other.weights)}
    lease.phase(
        "composition",
        lambda: composition_of(
            arms_of, judge, tests, products.folder, steps=plan.composed_steps, log=lease.log
        ),
        save=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", choices=PLANS, default="tiny")
    parser.add_argument("--base-seconds", type=float)
    args = parser.parse_args()
    plan = PLANS[args.plan]
    if args.base_seconds:
        plan = replace(plan, base_seconds=args.base_seconds)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.benchmark = device.type == "cuda"
    shutil.rmtree(args.out / "products", ignore_errors=True)
    lease = Lease(args.out, plan, device)
    try:
        run(lease)
    finally:
        lease.products.write_json("facts.json", lease.facts)
        lease.products.pack()
        lease.log("end")


if __name__ == "__main__":
    main()
