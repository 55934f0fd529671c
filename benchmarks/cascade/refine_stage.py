"""Train a stage of the cascade further: it predicts x_0, from clean small pictures.

    python benchmarks/cascade/refine_stage.py --start scenes-256 --seed 6 --seconds 2400 --out DIR

A patch of 4 pixels holds 48 numbers, as many as the network is wide, which therefore cannot pass
the noise on that v asks for; what it loses is a grain on plain ground. The residual itself is
mostly zero and fits (Li and He, 2025, "Back to Basics: Let Denoising Generative Models Denoise").
Much noise on small pictures (levels to 0.2) is a robustness that the shipped recipe never uses.
Scenes, crops, loss and averaging are those of the first training (`scene_model/lease/stages.py`).
One core in bfloat16 makes 120 crops of 64 px a second. `--start DIR/model` goes on from a run.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scene_model" / "lease"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scene_model"))
from desk import Desk
from stages import render_pairs, train

from composer_pl.models.storage import load_upsampler, save_model
from composer_pl.models.upsampler import UpsamplerModel


def prepared(args: argparse.Namespace) -> UpsamplerModel:
    """The start, told to learn from smaller noise, smaller crops or uncorrupted pictures."""
    start = load_upsampler(args.start)
    upsampling = replace(
        start.upsampling,
        max_level=args.max_level,
        level=min(start.upsampling.level, args.max_level),
        degradation=args.degradation or start.upsampling.degradation,
    )
    backbone = replace(start.config, trained_side=args.crop or start.config.trained_side)
    process = replace(start.process_config, prediction="x_0")
    model = UpsamplerModel(backbone, process, {}, upsampling)
    source = load_upsampler(args.weights) if args.weights else start
    state = source.state_dict()
    if source.process_config.prediction == "v":  # which is -x_0 where there is much noise
        state |= {name: -state[name] for name in state if name.startswith("backbone.head.")}
    model.load_state_dict(state)
    return model.float()


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", required=True, help="a shipped stage, or a folder")
    parser.add_argument("--weights", help="of another stage of that size, to begin with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True, help="of the scenes; not 4, the test's")
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=2400)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--crop", type=int, help="of the large picture; None keeps the start's")
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--max-level", type=float, default=0.03)
    parser.add_argument("--area", action="store_true", help="small pictures are area averages")
    parser.add_argument("--degradation", choices=("none", "bsr_light", "bsr"))
    args = parser.parse_args(words)
    model = prepared(args)
    desk = Desk(args.out, "tiny", f"refine {args.start}")
    pairs = render_pairs(model, args.scenes, args.seed, desk, area=args.area)
    weights, curve = train(
        model.to(desk.device), pairs, seconds=args.seconds, batch=args.batch, lr=args.lr,
        desk=desk, bfloat16=True,
    )  # fmt: skip
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    save_model(model.cpu().half(), args.out / "model")
    facts = {k: v for k, v in vars(args).items() if k != "out"}
    (args.out / "curve.json").write_text(json.dumps({"settings": facts, "loss": curve}) + "\n")


if __name__ == "__main__":
    main()
