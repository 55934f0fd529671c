"""Training and measuring of the judge, the network that reads 64 px pictures of scenes.

The network itself and its shipped weights are the library's: `composer_pl.evaluation.scenes.judge`.
It shares nothing with any condition's extractor. It has seen every pair of colour and shape.
Training pictures are softened and disturbed a little, so that it reads generated pictures as well
as rendered ones.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from corpus import Corpus
from torch import Tensor, nn

from composer_pl.evaluation.plain import correlation, outline_f1, set_f1
from composer_pl.evaluation.scenes.judge import Judge, Reading, read_pictures
from composer_pl.evaluation.scenes.scores import shape_iou
from composer_pl.evaluation.scenes.truth import Truth, surroundings, truth_of, whole_truth


def train_judge(
    corpus: Corpus,
    *,
    steps: int,
    batch: int = 256,
    device: torch.device | str,
    seed: int = 0,
    width: int = 32,
    log: Callable[[str], None] = print,
) -> dict[str, Tensor]:
    """Train a judge.

    Args:
        corpus: Scenes of every kind, on `device`.
        steps: Optimizer steps; 3,000 of 256 are plenty.
        batch: Pictures a step.
        device: Where to train.
        seed: Of weights, order and disturbances.
        width: Of the widest level.
        log: Told the progress about ten times.

    Returns:
        The state on the CPU.
    """
    device = torch.device(device)
    torch.manual_seed(seed)
    judge = Judge(width).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=max(steps, 2), pct_start=0.1
    )
    generator = torch.Generator(device).manual_seed(seed)
    sides = torch.Generator().manual_seed(seed)
    around = surroundings(corpus.scenes, device)
    began = time.monotonic()
    for step in range(steps):
        rows = torch.randint(len(corpus), (batch,), device=device, generator=generator)
        truth = truth_of(corpus, rows, around)
        image = disturbed(truth.image, generator)
        if torch.rand((), generator=sides) < 0.5:  # a mirrored scene is a scene
            image = image.flip(-1)
            for name in ("shapes", "colors", "depth", "outlines"):
                setattr(truth, name, getattr(truth, name).flip(-1))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            reading = judge(image.contiguous(memory_format=torch.channels_last))
        loss = _loss(reading, truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % max(steps // 10, 1) == 0:
            spent = time.monotonic() - began
            log(f"judge {step + 1}/{steps} loss {loss.item():.4f} {spent:.0f} s")
    return {name: tensor.detach().cpu() for name, tensor in judge.state_dict().items()}


def disturbed(image: Tensor, generator: torch.Generator) -> Tensor:
    """Soften, tint and speckle pictures by random strengths, half of them hardly at all."""
    shape = (len(image), 1, 1, 1)

    def draw(*size: int) -> Tensor:
        return torch.rand(*size, device=image.device, generator=generator)

    soft = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)
    image = torch.lerp(image, soft, (2 * draw(*shape) - 1).clamp(min=0))
    gain = 1 + 0.16 * (draw(len(image), 3, 1, 1) - 0.5)
    shift = 0.12 * (draw(len(image), 3, 1, 1) - 0.5)
    grain = torch.randn(image.shape, device=image.device, generator=generator)
    strength = 0.12 * (2 * draw(*shape) - 1).clamp(min=0)
    return (image * gain + shift + grain * strength).clamp(-1, 1)


def measure_judge(judge: Judge, corpus: Corpus) -> dict[str, float]:
    """How often the judge is right on true pictures that it was not trained on.

    Returns:
        Shares in [0, 1], by name; `depth_correlation` is the mean correlation.
    """
    truth = whole_truth(corpus)
    reading = read_pictures(judge, truth.image)
    found = reading.pairs > 0
    hits = (found & truth.pairs).sum()
    one = (truth.count == 1) & (truth.pairs.sum(1) == 1)
    sky = truth.sky >= 0
    marks = {
        "pair_recall": hits / truth.pairs.sum(),
        "pair_precision": hits / found.sum().clamp(min=1),
        "pair_f1": set_f1(found, truth.pairs).mean(),
        "pair_of_one_object": _right(reading.pairs, truth.pairs.float().argmax(1), one),
        "material_of_one_object": _right(
            reading.materials, truth.materials.float().argmax(1), truth.count == 1
        ),
        "size_material_f1": set_f1(reading.size_materials > 0, truth.size_materials).mean(),
        "count": _right(reading.count, truth.count),
        "floor": _right(reading.floor, truth.floor),
        "sky": _right(reading.sky, truth.sky, sky),
        "shape_iou": shape_iou(reading.shapes, truth.shapes).nanmean(),
        "color_of_pixels": (reading.colors.argmax(1) == truth.colors.argmax(1)).float().mean(),
        "depth_correlation": correlation(reading.depth, truth.depth).mean(),
        "outline_f1": outline_f1(reading.outlines > 0, truth.outlines).mean(),
    }
    return {name: round(float(mark), 4) for name, mark in marks.items()}


def _right(logits: Tensor, wanted: Tensor, rows: Tensor | None = None) -> Tensor:
    right = (logits.argmax(1) == wanted).float()
    return right.mean() if rows is None else right[rows].mean()


def _loss(reading: Reading, truth: Truth) -> Tensor:
    def soft(name: str) -> Tensor:
        logs = getattr(reading, name).log_softmax(1)
        return -(getattr(truth, name) * logs).sum(1).mean()

    def present(name: str) -> Tensor:
        logits, wanted = getattr(reading, name), getattr(truth, name).float()
        return F.binary_cross_entropy_with_logits(logits, wanted)

    def whole(name: str, *, ignored: int = -1) -> Tensor:
        return F.cross_entropy(getattr(reading, name), getattr(truth, name), ignore_index=ignored)

    # Lines are few: at equal weight a line that is half sure would never be drawn.
    outlines = F.binary_cross_entropy_with_logits(
        reading.outlines,
        truth.outlines.float(),
        pos_weight=torch.full((), 2.0, device=reading.outlines.device),
    )
    return (
        3 * soft("shapes")
        + 2 * soft("colors")
        + 2 * (reading.depth - truth.depth).abs().mean()
        + 2 * outlines
        + 20 * present("pairs")
        + present("size_materials")
        + present("materials")
        + 0.1 * (whole("count") + whole("floor") + whole("sky"))
    )
