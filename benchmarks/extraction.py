"""G9: extraction of what the drop mask keeps, against extracting everything with the same code.

    python benchmarks/extraction.py [--rounds 7] [--pidinet FILE] [--yolo FILE] [--json FILE]

One thread, CPU time, batches of 16 canvases of 256 px, each condition kept for half of them.
Without the two weight files the conditions are those that need none. Goal: at most 0.6 of the
time, with the kept values identical bit for bit or, where a network runs on another batch size,
within 1e-5.
"""

import numpy as np
import skimage.data
import torch
from rounds import one_thread, parser, ratio, report, run_rounds

from composer_pl.conditions.dropout import DropoutPolicy, sample_keep_mask
from composer_pl.conditions.extraction import Extraction
from composer_pl.plugin import ConditionPlugin
from composer_pl_color import Color
from composer_pl_instances import Instances
from composer_pl_intensity import Intensity
from composer_pl_masking import Masking
from composer_pl_sketch import Sketch

BATCH = 16
GOAL = 1 / 0.6


def photos(count: int, side: int) -> torch.Tensor:
    """Crops of scikit-image's bundled photos, `(count, 3, side, side)` in [-1, 1]."""
    sources = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    rng = np.random.default_rng(0)
    crops = []
    for i in range(count):
        source = sources[i % len(sources)]
        top, left = (int(rng.integers(0, length - side)) for length in source.shape[:2])
        crops.append(source[top : top + side, left : left + side])
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    return pixels / 127.5 - 1


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--pidinet", help="weights of PiDiNet tiny")
    options.add_argument("--yolo", help="weights of YOLOv8n-seg, converted")
    args = options.parse_args()
    one_thread(args.device)
    plugins: dict[str, ConditionPlugin] = {
        "sketch": Sketch(edges="pidinet-tiny", weights_file=args.pidinet)
        if args.pidinet
        else Sketch(),
        "color": Color(),
        "intensity": Intensity(),
        "masking": Masking(),
    }
    if args.yolo:
        plugins["instances"] = Instances(model="yolov8n-seg", weights_file=args.yolo, canvas=320)
    extraction = Extraction(plugins, value_size=(128, 128))
    source = photos(2 if args.dry_run else BATCH, 256).to(args.device)
    numbers = torch.arange(len(source))
    batch = {
        "source": source,
        "image": source,
        "caption": [""] * len(source),
        "index": numbers,
        "key": numbers,
        "identity": numbers,
    }
    everything = torch.ones(len(plugins), len(source), dtype=torch.bool)
    # One mask for all rounds, of the 50 first keys' masks the one that keeps nearest to half.
    policy, half = DropoutPolicy(p_drop_all=0.0, p_keep_all=0.0), [0.5] * len(plugins)
    masks = [sample_keep_mask(policy, half, numbers + 1000 * i) for i in range(50)]
    keep = min(masks, key=lambda mask: abs(float(mask.float().mean()) - 0.5))

    whole, part = extraction.extract(batch, everything), extraction.extract(batch, keep)
    error = max(
        float((part[name] - whole[name])[kept.to(source.device)].abs().max())
        for name, kept in zip(plugins, keep, strict=True)
        if kept.any()
    )
    assert error <= 1e-5, error
    seconds = run_rounds(
        {
            "kept": lambda: extraction.extract(batch, keep),
            "everything": lambda: extraction.extract(batch, everything),
        },
        rounds=2 if args.dry_run else args.rounds,
        device=args.device,
        warmup=3,
    )
    report(
        f"G9 extraction of {len(source)} pictures, {', '.join(plugins)}",
        seconds,
        [ratio(seconds, "kept", "everything", goal=GOAL)],
        device=args.device,
        notes={"kept share": f"{float(keep.float().mean()):.3f}", "largest difference": error},
        path=args.json,
    )


if __name__ == "__main__":
    main()
