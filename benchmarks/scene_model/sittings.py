"""Train a scene model further on a CPU, in sittings: after any stop the same command goes on.

    python benchmarks/scene_model/sittings.py bank --out DIR --first 18000 -n 3000
    python benchmarks/scene_model/sittings.py train --bank DIR --work DIR --steps 4000 [--minutes M]
    python benchmarks/scene_model/sittings.py write --work DIR --out FOLDER

The loop, loss and model are those of `base.py`; two things differ, because a core makes 10 pictures
a second where a lent GPU makes 5,500:

- `FOCUS`: most samples keep one condition only. Under the usual rule that is one sample in 40 for
  each condition, and obeying a condition alone is what the model still lacks.
- `NOISY`: most timesteps are noisy ones, where layout and colours are decided. The shipped model
  already denoises small noise well.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from bank import Bank, build_bank, draw_masks_bank, join_banks
from building import build_plugins, read_config
from corpus import build_corpus
from focus import draw_focused, draw_keep, draw_timesteps
from torch import Tensor

from composer_pl.files import replacing
from composer_pl.models.base import ComposerModel
from composer_pl.models.storage import load_model

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "composition"))

from arms import RULES  # noqa: E402

START = HERE.parents[1] / "src/composer_pl/pretrained/scenes-64"
CONFIG = HERE.parents[1] / "configs" / "scenes.yaml"

FOCUS: dict[str, float] = {
    "caption": 0.24,
    "semantics": 0.24,
    "instances": 0.16,
    "color": 0.12,
    "sketch": 0.12,
}
"""Share of the samples that keep this condition alone; the rest follow the usual rule."""

NOISY: tuple[float, float] = (0.7, 0.4)
"""This share of the timesteps lies in the noisiest part, which begins at that share of all."""

_SAVE_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of the training; a sitting that goes on must have the same."""

    steps: int
    batch: int = 48
    lr: float = 2e-4
    warmup: int = 100
    decay: float = 0.3
    ema: float = 0.998
    seed: int = 0


class Sitting:
    """A model, its average and optimiser, and the place in a training.

    Args:
        start: Model folder; its weights are both the model's and the average's.
        settings: Of the whole training.
    """

    def __init__(self, start: Path, settings: Settings):
        self.settings = settings
        self.model: ComposerModel = load_model(start).train().requires_grad_(True)
        self.average = [t.detach().clone() for t in self.model.state_dict().values()]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.lr, weight_decay=0.0, betas=(0.9, 0.99)
        )
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.step = 0
        self.curve: list[tuple[int, float]] = []

    def save(self, path: Path) -> None:
        """Write everything, so that a kill leaves the last state whole."""
        state = {
            "settings": vars(self.settings),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "curve": self.curve,
        }
        with replacing(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Go on from `save`.

        Raises:
            SystemExit: It was made with other settings.
        """
        state = torch.load(path, weights_only=True)
        if state["settings"] != vars(self.settings):
            raise SystemExit(
                f"{path} was made with {state['settings']}: give the same, or a new --work"
            )
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.step, self.curve = state["step"], [tuple(entry) for entry in state["curve"]]

    def train_step(self, bank: Bank) -> Tensor:
        """One step; the mean loss."""
        s, model, process = self.settings, self.model, self.model.process
        probs = torch.tensor([p.drop_prob for p in model.plugins.values()])
        x_0, values = bank.draw(s.batch, self.generator)
        keep = draw_keep(probs, s.batch, self.generator, 0.1, 0.1)
        keep = draw_focused(keep, model.names, self.generator, FOCUS)
        t = draw_timesteps(s.batch, model.process_config.num_timesteps, self.generator, NOISY)
        eps = torch.randn(x_0.shape, generator=self.generator)
        x_t = process.q_sample(x_0, t, eps)
        progress = self.step / s.steps
        rate = s.lr * min(1.0, (self.step + 1) / s.warmup, (1 - progress) / s.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            raw = model.predict(x_t, t, model.encode(values, keep))
        loss = process.loss(raw.float(), x_0, x_t, t, eps).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        live = list(model.state_dict().values())
        torch._foreach_lerp_(self.average, live, 1 - s.ema)
        self.step += 1
        return loss.detach()


def make_bank(out: Path, first: int, count: int) -> None:
    """Render scenes, extract their values, write them as one file of a bank."""
    plugins = build_plugins(read_config(CONFIG))
    masks = draw_masks_bank(1024)
    parts = []
    for begin in range(first, first + count, 500):
        indices = range(begin, min(begin + 500, first + count))
        corpus = build_corpus(indices, rules=RULES["A"], batch=64)
        parts.append(build_bank(corpus, plugins, masks, log=lambda text: None))
    whole = vars(join_banks(parts)) | {"masks": masks}
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{first}.pt") as temporary:
        torch.save(whole, temporary)


def train(args: argparse.Namespace) -> None:
    """One sitting."""
    settings = Settings(steps=args.steps, batch=args.batch, lr=args.lr)
    args.work.mkdir(parents=True, exist_ok=True)
    state = args.work / "state.pt"
    sitting = Sitting(args.start, settings)
    if state.exists():
        sitting.resume(state)
        print(f"goes on at step {sitting.step}", flush=True)
    files = sorted(args.bank.glob("*.pt"))
    bank = join_banks([Bank(**torch.load(file, weights_only=True)) for file in files])
    began = saved = time.monotonic()
    first, losses = sitting.step, []
    while sitting.step < settings.steps and time.monotonic() - began < args.minutes * 60:
        if args.polite and sitting.step % 5 == 0:
            threads = torch.get_num_threads()
            alone = os.getloadavg()[0] < threads + 0.5
            torch.set_num_threads(2 if alone else 1)
        losses.append(sitting.train_step(bank))
        if sitting.step % 50 == 0:
            mean = float(torch.stack(losses).mean())
            losses.clear()
            sitting.curve.append((sitting.step, mean))
            rate = (sitting.step - first) * settings.batch / (time.monotonic() - began)
            print(f"step {sitting.step}: loss {mean:.4f}, {rate:.1f} pictures/s", flush=True)
        if time.monotonic() - saved > _SAVE_SECONDS:
            sitting.save(state)
            saved = time.monotonic()
    sitting.save(state)


def write(args: argparse.Namespace) -> None:
    """The averaged weights as a model folder, in half precision."""
    from safetensors.torch import save_file

    state = torch.load(args.work / "state.pt", weights_only=True)
    model = load_model(args.start)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in zip(model.state_dict(), state["average"], strict=True)
    }
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out / "model.safetensors")
    (args.out / "config.json").write_text(json.dumps(model.describe(), indent=2) + "\n")
    (args.out / "curve.json").write_text(json.dumps(state["curve"]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    bank = commands.add_parser("bank")
    bank.add_argument("--out", type=Path, required=True)
    bank.add_argument("--first", type=int, required=True)
    bank.add_argument("-n", type=int, required=True)
    bank.set_defaults(run=lambda args: make_bank(args.out, args.first, args.n))
    training = commands.add_parser("train")
    training.add_argument("--bank", type=Path, required=True)
    training.add_argument("--work", type=Path, required=True)
    training.add_argument("--start", type=Path, default=START)
    training.add_argument("--steps", type=int, required=True)
    training.add_argument("--batch", type=int, default=48)
    training.add_argument("--lr", type=float, default=2e-4)
    training.add_argument("--minutes", type=float, default=float("inf"), help="of this sitting")
    training.add_argument("--polite", action="store_true", help="one thread while others compute")
    training.set_defaults(run=train)
    writing = commands.add_parser("write")
    writing.add_argument("--work", type=Path, required=True)
    writing.add_argument("--start", type=Path, default=START)
    writing.add_argument("--out", type=Path, required=True)
    writing.set_defaults(run=write)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
