"""G6a: features for FID, against torchmetrics and clean-fid with the same weights and resize.

    python benchmarks/fid/features.py [--batch 8] [--rounds 7] [--weights FILE] [--json FILE]

Pictures of 256 px in memory -> 2,048 features, fp32, one thread, CPU time. Goals: 1.35x of
torchmetrics and 1.25x of clean-fid at features that are equal to 1e-5 of the largest (asserted).
Needs `pip install torch-fidelity` (torchmetrics' network) and clean-fid.

Without --weights the Inception is untrained, as its weights are not on package indexes; what a
convolution costs does not depend on them. clean-fid's own TorchScript cannot be had here either:
its code runs a TorchScript made of the same layers, laid out as clean-fid wants it.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor
from untrained import write_program, write_state

from composer_pl.evaluation.metrics.features import feature_network

sys.path.insert(0, str(Path(__file__).parents[1]))
from rounds import one_thread, parser, ratio, report, run_rounds


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, relative to the largest feature; at most 1e-5."""
    error = float((ours - theirs).abs().max() / theirs.abs().max())
    assert error <= 1e-5, error
    return error


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(rounds=7)
    options.add_argument("--batch", type=int, default=8, help="pictures a call (default 8)")
    options.add_argument("--weights", type=Path, help="torch-fidelity's file instead of random")
    given = options.parse_args()
    one_thread(given.device)
    torch.set_grad_enabled(False)
    warnings.simplefilter("ignore")  # rivals use what torch and Pillow deprecate

    from cleanfid import fid
    from cleanfid.inception_torchscript import InceptionV3W
    from torchmetrics.image.fid import FrechetInceptionDistance

    batch = 2 if given.dry_run else given.batch
    size = 64 if given.dry_run else 256
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(
        0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator
    ).to(given.device)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = given.weights or write_state(folder)
        program = write_program(folder, weights)
        metric = FrechetInceptionDistance(feature_extractor_weights_path=str(weights))
        clean = InceptionV3W(str(folder), download=False)
        as_torchmetrics = feature_network(f"inception:{weights}", device=given.device)
        as_clean = feature_network(f"inception:{weights}", resize="clean", device=given.device)
        as_program = feature_network(f"clean-inception:{program}", device=given.device)
    peer = metric.inception.to(given.device)
    clean = clean.to(given.device)

    def clean_features() -> Tensor:
        """clean-fid's own loop over a batch of pictures: resized one by one, then its network."""
        found = fid.get_model_features(
            lambda _: pictures,
            clean,
            num_gen=batch,
            batch_size=batch,
            device=torch.device(given.device),
            verbose=False,
        )
        return torch.tensor(found, device=given.device)

    notes = {
        "dry run": given.dry_run,
        "pictures a call": batch,
        "weights": "random" if given.weights is None else given.weights.name,
        "difference to torchmetrics": distance(as_torchmetrics(pictures), peer(pictures)),
        "difference to clean-fid": distance(as_clean(pictures), clean_features()),
        "difference to clean-fid, its file": distance(as_program(pictures), clean_features()),
    }
    seconds = run_rounds(
        {
            "inception, resize torch": lambda: as_torchmetrics(pictures),
            "torchmetrics": lambda: peer(pictures),
            "inception, resize clean": lambda: as_clean(pictures),
            "clean-inception": lambda: as_program(pictures),
            "clean-fid": clean_features,
        },
        rounds=given.rounds,
        device=given.device,
        warmup=2,  # TorchScript profiles its first call
    )
    report(
        f"G6a features for FID, {batch} pictures of {size} px",
        seconds,
        [
            ratio(seconds, "inception, resize torch", "torchmetrics", goal=1.35),
            ratio(seconds, "inception, resize clean", "clean-fid", goal=1.25),
            ratio(seconds, "clean-inception", "clean-fid", goal=1.25),
        ],
        device=given.device,
        notes=notes,
        path=given.json,
    )


if __name__ == "__main__":
    main()
