"""Lease of one long training, second program: scenes-64, and two baselines in what time is left.

python benchmarks/scene_model/lease/long.py --work DIR --out OUT --plan full --granted 580

The main model is trained by the usual rule first, and in the last part by the focused one; it is
written and packed before the baselines begin. Both baselines start where it started and make as
many steps as its snapshot `base-long-even`, all three without a fall of the learning rate: one is
never given a condition, one only sketches.

With `--teach` the image tower of the tiny CLIP learns more first (`image_tower.py`), on the same
scenes; both towers' files become products and are put into this checkout's plugins, and the model
learns what `semantics` are now, without baselines.

With `--polish` it goes on from given weights with the focused rule alone, on what is missing most,
at a lower learning rate and without baselines: what a lease has left at its end.

Started again after it broke off (`long.sh` does so, with `--plain`), it goes on from the last kept
weights with the seconds that are left.
"""

import argparse
import faulthandler
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desk import CONFIG, SCENE_MODEL, Desk  # isort: skip
import torch
from bank import Bank, empty_bank, join_banks
from base import BaseTrainer
from building import build_plugins, read_config
from clip import FILE
from image_tower import ImageTeacher
from install_weights import PLUGINS, install
from long_plan import AMOUNTS, ENOUGH, LONG, NOISY, POLISH, TAUGHT, Amounts, bank_name, done_name
from pace import Way, ranked
from products import Products
from safetensors.torch import load_file
from settings import KeepFilter, Settings, Trained
from torch import Tensor

SHIPPED = SCENE_MODEL.parents[1] / "src/composer_pl/pretrained/scenes-64"


LATEST = "latest.pt"

_POLITE, _LONGEST = 40, 400
"""Seconds to wait for programs that render: where there are some scenes, where there are none."""

_PATIENCE = 230
"""Seconds in which a GPU makes its first real step, or the program ends for another attempt."""


def blind(keep: Tensor, names: Any, generator: torch.Generator | None = None) -> Tensor:
    """Keep nothing."""
    return torch.zeros_like(keep)


def single(name: str) -> KeepFilter:
    """Keep one condition, in nine samples of ten, as guidance needs it."""

    def only(keep: Tensor, names: Any, generator: torch.Generator | None = None) -> Tensor:
        draws = torch.rand(keep.shape[1], generator=generator, device=keep.device)
        alone = torch.zeros_like(keep)
        alone[list(names).index(name)] = draws >= 0.1
        return alone

    return only


def collect(desk: Desk, amounts: Amounts, parts: int) -> Bank:
    """Wait for the programs that render, and read what they made.

    Raises:
        SystemExit: They made nothing.
    """

    def made() -> list[int]:
        return [k for k in range(amounts.chunks) if (desk.work / bank_name(k)).exists()]

    began = time.monotonic()
    while not all((desk.work / done_name(part)).exists() for part in range(parts)):
        waited = time.monotonic() - began
        if waited > _LONGEST or (waited > _POLITE and made()):
            desk.log("a program that renders is not done: goes on with what there is")
            break
        time.sleep(0.2)
    there = made()
    if not there:
        raise SystemExit("long: there are no scenes")
    bank = join_banks([desk.get(bank_name(number)) for number in there])
    desk.log(f"{len(bank)} scenes in {len(there)} files")
    return bank


def teach(lease: "Lease", bank: Bank, seconds: float, plugins: Path) -> None:
    """Train the image tower, install it, and give the bank its values.

    Started again, it takes the tower that is written already.
    """
    folder = lease.products.folder / "encoders"
    written = folder / FILE
    if written.exists():
        teacher = ImageTeacher(written, lease.desk.device)
    else:
        teacher = ImageTeacher(device=lease.desk.device)
        told = teacher.train(bank, seconds=seconds, batch=min(1024, len(bank)), log=lease.desk.log)
        teacher.save(folder)
        lease.facts["image tower"] = told
    for line in install(folder, plugins):
        lease.desk.log(line)
    bank.fixed["semantics"] = teacher.values(bank)
    lease.desk.put("taught.pt", None)  # for `prior.py`


def start_weights(desk: Desk, start: str) -> tuple[str, dict[str, Tensor] | None]:
    """Which weights, and them: kept ones of this lease, a folder's, or none for fresh ones."""
    if (desk.work / LATEST).exists():
        return "kept weights of this lease", desk.get(LATEST)
    if start == "scratch":
        return start, None
    return Path(start).name, load_file(Path(start) / "model.safetensors")


@dataclass(kw_only=True)
class Lease:
    """One trainer, its products and what is told of them."""

    desk: Desk
    products: Products
    trainer: BaseTrainer
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, weights: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
        """Write a model folder and the facts."""
        self.products.write_model(name, self.trainer.model.describe(), weights)
        self.facts[name] = dict(told)
        self.products.write_json("facts.json", self.facts)
        self.desk.log(f"{name}: {json.dumps(dict(told))}")

    def finish(self, name: str, trained: Trained, told: Mapping[str, Any]) -> None:
        """Write what a training leaves."""
        counted = {"steps": trained.steps, "seconds": round(trained.seconds, 1)}
        self.write(name, trained.weights, counted | dict(told))
        self.products.write_json(f"{name}/curve.json", trained.curve)

    def kept(self, title: str, step: int, weights: dict[str, Tensor]) -> None:
        """Of the main training: snapshots are products, the latest weights are for a new start."""
        if title == "latest":
            self.desk.put(LATEST, weights)
        else:
            self.write(f"base-long-{title}", weights, {"steps": step})


def pick(
    trainer: BaseTrainer, bank: Bank, amounts: Amounts, desk: Desk, *, graphs: bool
) -> tuple[Way, float]:
    """The best way that works, in use, and its pictures a second."""
    possible = [
        way
        for way in amounts.ways
        if (graphs or not way.graphed) and (trainer.compiled is not None or not way.compiled)
    ]

    def clock(way: Way) -> float:
        return trainer.clock(way, bank, steps=amounts.clock_steps)

    for way, rate in ranked(possible, clock, seconds=amounts.clock_seconds, log=desk.log):
        try:
            trainer.use(way, bank)
        except RuntimeError as error:
            desk.log(f"{way}: does not work again, {str(error)[:400]}")
            continue
        desk.log(f"chosen: {way}")
        return way, rate
    raise SystemExit("no way of making steps works")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", choices=AMOUNTS, default="tiny")
    parser.add_argument("--granted", type=float, default=1e6, help="seconds of the whole lease")
    parser.add_argument("--start", default=str(SHIPPED), help="a model folder, or: scratch")
    parser.add_argument("--parts", type=int, default=1, help="programs that render")
    parser.add_argument("--polish", action="store_true", help="the focused rule alone")
    parser.add_argument("--teach", type=float, default=0, help="seconds for the image tower first")
    parser.add_argument("--plugins", type=Path, default=PLUGINS, help="whose weights it replaces")
    parser.add_argument("--plain", action="store_true", help="neither compile nor capture")
    args = parser.parse_args()
    desk, amounts = Desk(args.work, args.plan, "long"), AMOUNTS[args.plan]
    course = POLISH if args.polish else TAUGHT if args.teach else LONG
    if (args.work / "products/base-long/model.safetensors").exists():
        desk.log("the main model is written already: end")
        return
    config = read_config(CONFIG)
    plugins = build_plugins(config)
    cuda = desk.device.type == "cuda"
    if cuda and not args.plain:
        faulthandler.dump_traceback_later(_PATIENCE, exit=True)
    trainer = BaseTrainer(config, plugins, desk.device, compiled=cuda and not args.plain)
    lease = Lease(desk=desk, products=Products(args.out, args.work), trainer=trainer)
    if trainer.compiled is not None:
        batches = [way.batch for way in amounts.ways if way.compiled] or [2]
        once = Settings(steps=2, batch=batches[0])
        try:
            trainer.train(empty_bank(plugins, desk.device), once, log=desk.log)
        except Exception as error:  # a compiler's trouble must not cost the lease
            desk.log(f"compiling failed: {type(error).__name__}: {str(error)[:500]}")
            trainer.compiled = None
    (args.work / ENOUGH).touch()
    bank = collect(desk, amounts, args.parts)
    if args.teach:
        teach(lease, bank, args.teach, args.plugins)
    title, weights = start_weights(desk, args.start)
    trainer.start(0, weights)
    way, rate = pick(trainer, bank, amounts, desk, graphs=cuda and not args.plain)
    faulthandler.cancel_dump_traceback_later()

    seconds = max(args.granted - desk.seconds - amounts.spare, 1.0)
    even = _even_steps(rate / way.batch * seconds * course.share / 2, amounts.steps)
    lease.facts |= {
        "start": title, "scenes": len(bank), "way": str(way), "pictures a second": round(rate),
        "learning rate": course.lr, "focus": dict(course.focus), "noisy": NOISY,
        "focused from": course.begins,
        "device": torch.cuda.get_device_name() if cuda else "cpu", "torch": torch.__version__,
    }  # fmt: skip
    desk.log(f"{seconds:.0f} s are left, {course.share:.0%} of them for baselines of {even} steps")
    trainer.start(0, weights)
    trained = trainer.train(
        bank,
        Settings(
            steps=amounts.steps, seconds=seconds * (1 - course.share), batch=way.batch,
            lr=course.lr, early_share=course.begins, focus=course.focus, noisy=NOISY,
            even_steps=even if course.share else 0, keep_seconds=60,
        ),
        kept=lease.kept, log=desk.log,
    )  # fmt: skip
    lease.finish("base-long", trained, {"early steps": trained.early_steps})
    lease.products.pack_only(
        ("base-long", "base-long-early", "base-long-even", "encoders", "facts.json"), "long"
    )
    desk.put("trained.pt", bank.x_0)
    baselines = (
        ()
        if course.share == 0
        else (("base-blind", blind, 2), ("base-sketch", single("sketch"), 1))
    )
    for name, rule, part in baselines:
        left = args.granted - desk.seconds - amounts.spare / 2
        _baseline(lease, bank, weights, name, rule, Settings(
            steps=even, seconds=max(left / part, 1.0), batch=way.batch, lr=course.lr, decay=0.0,
        ))  # fmt: skip
    desk.log("end")


def _even_steps(wanted: float, most: int) -> int:
    """Whole fifties where there are that many, at least one, at most half of the long training."""
    wanted = min(wanted, most / 2)
    return max(int(wanted // 50) * 50 or int(wanted), 1)


def _baseline(
    lease: Lease,
    bank: Bank,
    weights: dict[str, Tensor] | None,
    name: str,
    rule: Callable[..., Tensor],
    settings: Settings,
) -> None:
    """Train one; whatever goes wrong, the main model is written already."""
    if settings.seconds < 10:
        lease.desk.log(f"{name}: no time is left")
        return
    try:
        lease.trainer.start(0, weights)
        trained = lease.trainer.train(bank, settings, keep_filter=rule, log=lease.desk.log)
        lease.finish(name, trained, {})
    except Exception as error:
        lease.desk.log(f"{name}: {type(error).__name__}: {str(error)[:400]}")


if __name__ == "__main__":
    main()
