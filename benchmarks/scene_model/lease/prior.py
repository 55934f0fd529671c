"""Lease, after the image tower has been taught: the prior, on the same scenes.

python benchmarks/scene_model/lease/prior.py --work DIR --out OUT --plan full

Runs beside `long.py --teach`: waits for the image tower that it writes, and learns to predict its
embeddings from captions, on scenes of `long_scenes.py`.
"""

import argparse
import sys
from pathlib import Path

from desk import SCENE_MODEL, Desk  # isort: skip
import torch
from bank import join_banks
from clip import FILE
from image_tower import ImageTeacher
from long_plan import AMOUNTS, bank_name
from products import Products

sys.path.insert(0, str(SCENE_MODEL.parent / "prior"))

from prior_data import Embeddings
from prior_training import fresh_prior, split, train_prior

STEPS, BATCH, HELD_OUT = {"tiny": 2, "full": 3000}, {"tiny": 4, "full": 256}, {"tiny": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plan", choices=AMOUNTS, default="tiny")
    parser.add_argument("--files", type=int, default=5, help="of scenes, at most")
    args = parser.parse_args()
    desk, products = Desk(args.work, args.plan, "prior"), Products(args.out, args.work)
    desk.get("taught.pt")
    files = [bank_name(k) for k in range(AMOUNTS[args.plan].chunks)]
    there = [name for name in files if (args.work / name).exists()][: args.files]
    bank = join_banks([desk.get(name) for name in there])
    teacher = ImageTeacher(products.folder / "encoders" / FILE, desk.device)
    data = Embeddings(
        caption=bank.fixed["caption"], semantics=teacher.values(bank), texts=bank.texts
    )
    desk.log(f"{len(data)} scenes")
    seen, held_out = split(data, HELD_OUT.get(args.plan, 500))
    torch.manual_seed(0)
    model = fresh_prior().to(desk.device)
    facts = train_prior(
        model, seen, held_out, steps=STEPS[args.plan], batch=BATCH[args.plan], log=desk.log
    )
    weights = {name: value.half().cpu() for name, value in model.state_dict().items()}
    products.write_model("prior", model.describe(), weights)
    products.write_json("prior/training.json", facts | {"scenes": len(seen)})
    products.pack_only(("prior",), "prior")
    desk.log("end")


if __name__ == "__main__":
    main()
