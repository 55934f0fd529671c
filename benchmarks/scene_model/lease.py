"""Everything that was trained and measured on the lent GPU, in one run of ten minutes.

    python benchmarks/scene_model/lease.py --out OUT --plan full --anew     # or tiny, on a CPU

Without `--anew` encoders and judge are those shipped; `--start FOLDER` goes on from a model.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "composition")]

import arms  # noqa: E402
from bank import build_bank, draw_masks_bank  # noqa: E402
from base import Precision, build_model, build_plugins, read_config, reset, train_base  # noqa: E402
from corpus import UNSEEN, build_corpus  # noqa: E402
from install_weights import blank  # noqa: E402
from products import Products  # noqa: E402

JUDGE = HERE / "judge.safetensors"
CONFIG = HERE.parents[1] / "configs" / "scenes.yaml"


@dataclass(kw_only=True)
class Plan:
    """How much of everything.

    Attributes:
        scenes: Training scenes of the shipped model.
        compared: Training scenes of both arms while they are compared.
        judged: Training scenes of the judge.
        unseen: Scenes of the measurements.
        masks: Holes in the bank.
        clip: Steps and batch; likewise below.
        instances_seconds: Most seconds of that training.
        base: Most steps, and batch.
        early_seconds: Seconds after which both arms are compared.
        granted: Seconds of the whole run.
        reserved: Seconds of what comes after the first arm; the arm gets the rest.
        composed: Pictures of each main set of the composition experiment, and steps of sampling.
        workers: Processes for descriptions, captions and masks.
    """

    scenes: int
    compared: int
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
    early_seconds: float
    granted: float
    reserved: float
    composed: int
    composed_steps: int
    workers: int


PLANS = {
    "tiny": Plan(
        scenes=24, compared=12, judged=16, unseen=4, masks=32, clip=(2, 16), depth=(2, 4),
        instances=(2, 8), instances_seconds=60, judge=(2, 8), upsampler=(2, 2), base=(3, 4),
        early_seconds=0,
        granted=1e6, reserved=0, composed=24, composed_steps=1, workers=0,
    ),
    "full": Plan(
        scenes=18_000, compared=12_000, judged=10_000, unseen=256, masks=4096, clip=(700, 1024),
        depth=(650, 256), instances=(2000, 128), instances_seconds=38, judge=(1100, 256),
        upsampler=(550, 256), base=(50_000, 512), early_seconds=40, granted=326, reserved=155,
        composed=1440, composed_steps=10, workers=16,
    ),
}  # fmt: skip


class Lease:
    """Runs phases, each in its own try, and keeps what they give."""

    def __init__(
        self,
        out: Path,
        work: Path,
        plan: Plan,
        device: torch.device,
        *,
        judge: Path | None,
        start: Path | None,
    ):
        self.plan, self.device = plan, device
        self.judge, self.start = judge, start
        self.began = time.monotonic()
        self.products = Products(out, work)
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
    from score import SETTINGS, make_scenes
    from upsampler import measure_upsampler, train_upsampler

    from composer_pl.models.storage import load_model
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

    if not lease.judge:
        lease.phase("clip", trained_clip)
        lease.phase("depth", trained_depth)
        lease.phase("instances", trained_instances, save=True)

    config = read_config(CONFIG)
    plugins = build_plugins(config)
    torch.manual_seed(0)
    model = build_model(config, plugins).to(device)
    precision = Precision(half=False)

    def values(of: Any) -> Any:
        return build_bank(of, plugins, masks, log=lease.log)

    def fastest(bank: Any) -> Precision:
        """Try each way of computing for a few steps."""
        ways = {
            "autocast": Precision(half=False),
            "bfloat16": Precision(),
            "bfloat16, channels last": Precision(channels_last=True),
        }
        rates = {}
        for name, way in ways.items():
            try:
                tried = train_base(
                    model, bank, steps=16, seconds=30, batch=plan.base[1], precision=way,
                    log=lambda text: None,
                )  # fmt: skip
            except RuntimeError as error:
                lease.log(f"{name}: {error}")
                continue
            rates[name] = round((tried.steps - 1) * plan.base[1] / tried.seconds)
        lease.facts["pictures a second"] = rates
        lease.log(f"pictures a second: {rates}")
        reset(model, config, 0)
        return ways[max(rates, key=lambda name: rates[name])]

    def train(bank: Any, arm: str, **how: Any) -> Any:
        trained = train_base(
            model, bank, batch=plan.base[1], seed=0, warmup=min(300, plan.base[0] // 3),
            keep_filter=arms.keep_filter(arm), precision=precision, log=lease.log, **how,
        )  # fmt: skip
        products.write_model(f"base-{arm}", model.describe(), trained.weights)
        if trained.early:
            products.write_model(f"base-{arm}-early", model.describe(), trained.early)
        products.write_json(f"base-{arm}/curve.json", trained.curve)
        lease.facts[f"base {arm}"] = {
            "steps": trained.steps, "seconds": trained.seconds, "early_steps": trained.early_steps
        }  # fmt: skip
        return trained

    def first_arm() -> Any:
        nonlocal precision
        bank = values(scenes)
        precision = fastest(bank)
        if lease.start is not None:  # goes on from averaged weights in half precision
            model.load_state_dict(load_model(lease.start).state_dict())
        left = plan.granted - plan.reserved - (time.monotonic() - lease.began)
        return train(
            bank,
            "A",
            steps=plan.base[0],
            seconds=max(left, 70),
            early_seconds=plan.early_seconds,
            early_rows=plan.compared,
        )

    first = lease.phase("base A", first_arm, save=True)

    def trained_upsampler() -> dict[str, Any]:
        description, state, curve = train_upsampler(
            scenes, steps=plan.upsampler[0], batch=plan.upsampler[1], device=device, seed=0,
            warmup=min(200, plan.upsampler[0] // 3), crop=64, log=lease.log,
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
    if not lease.judge:
        judge = lease.phase("judge", trained_judge)
    else:
        judge = judging.load_judge(lease.judge, device)
    if first is None or judge is None:
        return

    def second_arm() -> Any:
        reset(model, config, 0)
        bank = values(corpus(plan.compared, second))
        return train(bank, "B", steps=max(first.early_steps, 1), seconds=1e6, decay=0.0)

    def loaded(weights: dict[str, torch.Tensor]) -> Any:
        twin = build_model(config, plugins)
        twin.load_state_dict({n: t.float() for n, t in weights.items()})
        return twin.to(device).eval().requires_grad_(False)

    shipped = loaded(first.weights)
    other = lease.phase("base B", second_arm, save=True)
    if other is None:
        return
    tests = lease.phase(
        "scenes composition",
        lambda: make_scenes(plan.composed, device=device, workers=plan.workers),
    )
    arms_of = {"A": loaded(first.early), "B": loaded(other.weights), "A/long": shipped}

    def composition(name: str, sets: Sequence[str]) -> None:
        lease.phase(
            name,
            lambda: composition_of(
                arms_of, judge, tests, products.folder / name, sets,
                steps=plan.composed_steps, log=lease.log,
            ),
            save=True,
        )  # fmt: skip

    rest = ("two objects", "caption and depth")
    composition("composition", [name for name in SETTINGS if name not in rest])
    lease.phase(
        "adherence",
        lambda: adherence_of(shipped, judge, unseen, scenes, products.folder, lease.log),
        save=True,
    )
    if time.monotonic() - lease.began < plan.granted - 25:
        composition("rest", rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="where files are made; OUT unless told")
    parser.add_argument(
        "--anew",
        action="store_true",
        help="train encoders and judge too; blanks those that this checkout ships",
    )
    parser.add_argument("--start", type=Path, help="model folder that arm A goes on from")
    parser.add_argument("--plan", choices=PLANS, default="tiny")
    args = parser.parse_args()
    plan = PLANS[args.plan]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = True
    work = args.work or args.out
    shutil.rmtree(work / "products", ignore_errors=True)
    if args.anew:  # before a plugin is imported: others than the declared files would be refused
        blank()
    lease = Lease(
        args.out, work, plan, device, judge=None if args.anew else JUDGE, start=args.start
    )
    try:
        run(lease)
    finally:
        lease.products.write_json("facts.json", lease.facts)
        lease.products.pack()
        lease.log("end")


if __name__ == "__main__":
    main()
