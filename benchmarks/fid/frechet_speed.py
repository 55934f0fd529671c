"""G6b: the Frechet distance from moments at 2,048 features, against SciPy's matrix square root.

    env -u OPENBLAS_CORETYPE python benchmarks/fid/frechet_speed.py [--rounds 5] [--json FILE]

float64, one thread, CPU time. Goal: 2.5x of `scipy.linalg.sqrtm`, as pytorch-fid and clean-fid use
it, with distances equal to 1e-6 (asserted); torchmetrics' eigenvalues stand beside it. An
OPENBLAS_CORETYPE in the environment can make SciPy slower than it is: the notes tell it.
"""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import scipy
import torch
from scipy import linalg
from torch import Tensor

from composer_pl.evaluation.metrics.frechet import Moments, frechet_distance

sys.path.insert(0, str(Path(__file__).parents[1]))
from rounds import one_thread, parser, ratio, report, run_rounds


def feature_like(count: int, width: int, seed: int) -> Tensor:
    """Non-negative numbers with correlations and spreads from 1 to 0.01, as pooled maps have."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(1, 0.01, width, dtype=torch.float64)
    mix = torch.randn(width, width, generator=generator, dtype=torch.float64) * spread
    drawn = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return (drawn @ mix.T / width**0.5).relu()


def scipy_distance(a: Moments, b: Moments) -> float:
    """The distance through the square root of the product."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = linalg.sqrtm(a.covariance.numpy() @ b.covariance.numpy())
    apart = (a.mean - b.mean).square().sum()
    return float(apart + a.covariance.trace() + b.covariance.trace() - 2 * np.trace(root).real)


def torchmetrics_distance(a: Moments, b: Moments) -> float:
    """The distance through the eigenvalues of the product, which is not symmetric."""
    from torchmetrics.image.fid import _compute_fid

    return float(_compute_fid(a.mean, a.covariance, b.mean, b.covariance))


def main() -> None:
    options = parser(__doc__)
    given = options.parse_args()
    one_thread("cpu")
    width = 64 if given.dry_run else 2048
    sides = []
    for seed in (0, 1):
        sides.append(Moments())
        sides[-1].update(feature_like(3 * width, width, seed))
    a, b = sides
    ours, theirs, peer = frechet_distance(a, b), scipy_distance(a, b), torchmetrics_distance(a, b)
    for other in (theirs, peer):
        assert abs(ours / other - 1) < 1e-6, (ours, other)
    seconds = run_rounds(
        {
            "ours": lambda: frechet_distance(a, b),
            "scipy sqrtm": lambda: scipy_distance(a, b),
            "torchmetrics": lambda: torchmetrics_distance(a, b),
        },
        rounds=given.rounds,
        warmup=0,  # each has run once above
    )
    report(
        f"G6b Frechet distance of {width} features",
        seconds,
        [
            ratio(seconds, "ours", "scipy sqrtm", goal=2.5),
            ratio(seconds, "ours", "torchmetrics"),
        ],
        device="cpu",
        notes={
            "dry run": given.dry_run,
            "scipy": scipy.__version__,
            "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set"),
            "relative difference to SciPy": abs(ours / theirs - 1),
            "relative difference to torchmetrics": abs(ours / peer - 1),
        },
        path=given.json,
    )


if __name__ == "__main__":
    main()
