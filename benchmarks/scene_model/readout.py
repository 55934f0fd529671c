"""How much of a scene's pairs of colour and shape an embedding still holds.

    python benchmarks/scene_model/sittings.py bank --out DIR --first 18000 -n 6000
    python benchmarks/scene_model/readout.py DIR/18000.pt

A small network reads the pairs back from the image embedding (`semantics`) and from a caption's
pooled embedding, on scenes that it was not trained on. What it cannot read, a model that is given
the embedding cannot draw but by luck; with more scenes it would read more, so this is a lower bound
of what the embedding holds.
"""

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from bank import Bank
from jaxtyping import Bool, Float
from torch import Tensor, nn

from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.evaluation.intervals import mean_interval
from composer_pl.evaluation.scenes.truth import PAIRS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "composition"))

from arms import RULES

WIDTH, EPOCHS, BATCH = 512, 25, 128
THRESHOLDS = (-1.5, -1.0, -0.5, 0.0)


def true_pairs(first: int, count: int) -> Bool[Tensor, "n 56"]:
    """Which pairs scenes show, a pattern's second colour too, as the judge counts them."""
    sampler = SceneSampler(0, RULES["A"])
    marks = torch.zeros(count, len(PAIRS), dtype=torch.bool)
    for row, index in zip(marks, range(first, first + count), strict=True):
        for thing in sampler.scene(index).objects:
            for color in (thing.color, thing.second_color):
                if color:
                    row[PAIRS.index(f"{color} {thing.shape}")] = True
    return marks


def f1(found: Bool[Tensor, "n p"], there: Bool[Tensor, "n p"]) -> Float[Tensor, " n"]:
    """F1 of each scene's pairs."""
    both = (found & there).sum(1)
    return 2 * both / (found.sum(1) + there.sum(1)).clamp(min=1)


def read_back(
    embeddings: Float[Tensor, "n d"], pairs: Bool[Tensor, "n p"], *, held_out: int, seed: int = 0
) -> Float[Tensor, " held_out"]:
    """F1 of the pairs read from the last `held_out` embeddings by a network trained on the others.

    The threshold is chosen on the last tenth of the others, which are not trained on either.
    """
    torch.manual_seed(seed)
    x = embeddings.float()
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    y = pairs.float()
    known = len(x) - held_out
    fitted = known - known // 10
    reader = nn.Sequential(
        nn.Linear(x.shape[1], WIDTH), nn.GELU(), nn.Dropout(0.3),
        nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(0.3), nn.Linear(WIDTH, y.shape[1]),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(reader.parameters(), lr=1e-3, weight_decay=1e-2)
    for _ in range(EPOCHS):
        for rows in torch.randperm(fitted).split(BATCH):
            loss = F.binary_cross_entropy_with_logits(reader(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    reader.eval()
    with torch.no_grad():
        logits = reader(x[fitted:])
    chosen, tested = logits[: known - fitted], logits[known - fitted :]
    best = max(THRESHOLDS, key=lambda t: float(f1(chosen > t, pairs[fitted:known]).mean()))
    return f1(tested > best, pairs[known:])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("banks", nargs="+", type=Path, help="files named by their first scene")
    parser.add_argument("--held-out", type=int, default=500)
    args = parser.parse_args()
    banks = [Bank(**torch.load(file, weights_only=True)) for file in args.banks]
    pairs = torch.cat(
        [
            true_pairs(int(file.stem), len(bank.x_0))
            for file, bank in zip(args.banks, banks, strict=True)
        ]
    )
    semantics = torch.cat([bank.fixed["semantics"] for bank in banks])
    captions = torch.cat([bank.fixed["caption"][:: bank.texts, 0] for bank in banks])
    for name, embeddings in (("semantics", semantics), ("caption", captions)):
        score = mean_interval(read_back(embeddings, pairs, held_out=args.held_out))
        print(f"{name}: F1 {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]", flush=True)


if __name__ == "__main__":
    main()
