"""Lease, second program: trains both arms of the base model; arm A goes on and is shipped.

python benchmarks/scene_model/lease/both_arms.py --work DIR --plan full --granted 555
"""

import argparse
import json
from pathlib import Path
from typing import Any

from desk import CONFIG, Desk  # isort: skip
import arms
from bank import empty_bank
from base import BaseTrainer
from building import build_plugins, read_config
from products import Products
from settings import Settings, Trained

FOCUS = {"caption": 0.13, "semantics": 0.13, "instances": 0.11, "color": 0.08, "sketch": 0.07}
"""Shares of the samples that keep one condition alone, once arm A is no longer compared."""

NOISY = (0.4, 0.4)

_SPARE = 14.0  # seconds for reading, packing and the end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", default="tiny")
    parser.add_argument("--granted", type=float, default=1e6, help="seconds of the whole lease")
    args = parser.parse_args()
    desk = Desk(args.work, args.plan, "arms")
    plan, products = desk.plan, Products(args.out, args.work)
    facts: dict[str, Any] = {"plan": str(plan), "focus": FOCUS, "noisy": NOISY}

    config = read_config(CONFIG)
    plugins = build_plugins(config)
    cuda = desk.device.type == "cuda"

    def compiled(wanted: bool) -> BaseTrainer:
        trainer = BaseTrainer(config, plugins, desk.device, compiled=wanted)
        once = Settings(steps=20 if cuda else 1, batch=batch)
        found = trainer.train(empty_bank(plugins, desk.device), once, log=desk.log)
        rate = (found.steps - 1) * plan.batch / max(found.seconds, 1e-9)
        desk.log(f"compiled {wanted}: {rate:.0f} pictures a second on an empty bank")
        return trainer

    batch, early = plan.batch, plan.early
    try:
        trainer = compiled(cuda)
    except Exception as error:  # a compiler's trouble must not cost the lease
        desk.log(f"compiling failed: {type(error).__name__}: {str(error)[:500]}")
        batch, early = 2 * batch, early // 2  # launching kernels takes as long for twice as many
        trainer = compiled(False)

    def keep(arm: str, trained: Trained) -> None:
        description = trainer.model.describe()
        products.write_model(f"base-{arm}", description, trained.weights)
        if trained.early:
            products.write_model(f"base-{arm}-early", description, trained.early)
        products.write_json(f"base-{arm}/curve.json", trained.curve)
        facts[f"base {arm}"] = {"steps": trained.steps, "seconds": trained.seconds}
        products.write_json("facts.json", facts)
        desk.log(f"arm {arm}: {json.dumps(facts[f'base {arm}'])}")

    def until(early_seconds: float) -> float:
        """Arm B needs the early seconds again, and what it waits for; arm A gets the rest."""
        left = args.granted - desk.seconds - early_seconds - _SPARE
        return early_seconds + max(left, 20.0)

    trainer.start(0)
    bank = desk.get("bank-A.pt")
    first = trainer.train(
        bank,
        Settings(
            steps=200_000 if cuda else 4, batch=batch, early_steps=early,
            early_rows=plan.compared, focus=FOCUS, noisy=NOISY,
        ),
        keep_filter=arms.keep_filter("A"), until=until if cuda else None, log=desk.log,
    )  # fmt: skip
    keep("A", first)
    products.pack()
    del bank
    trainer.start(0)
    bank = desk.get("bank-B.pt")
    second = trainer.train(
        bank, Settings(steps=early, batch=batch, decay=0.0),
        keep_filter=arms.keep_filter("B"), log=desk.log,
    )  # fmt: skip
    keep("B", second)
    products.pack()
    desk.log("end")


if __name__ == "__main__":
    main()
