"""The judge: a network that reads 64 px pictures of scenes, trained on the renderer's truth alone.

It shares nothing with any condition's extractor: no weights, no architecture, no inputs but the
picture. It has seen every pair of colour and shape. Training pictures are softened and disturbed a
little, so that it reads generated pictures as well as rendered ones.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import Corpus
from jaxtyping import Float
from torch import Tensor, nn
from truth64 import PAIRS, SIZE_MATERIALS, Truth, surroundings, truth_of

from composer_pl.data.scenes.vocabulary import (
    COLORS,
    FLOORS,
    MATERIALS,
    MAX_OBJECTS,
    SHAPES,
    SKIES,
)

_DENSE = {"shapes": len(SHAPES) + 1, "colors": len(COLORS) + 1, "depth": 1, "outlines": 1}
_PRESENT = {
    "pairs": len(PAIRS),
    "size_materials": len(SIZE_MATERIALS),
    "materials": len(MATERIALS),
}
_WHOLE = {"count": MAX_OBJECTS + 1, "floor": len(FLOORS), "sky": len(SKIES)}


@dataclass(kw_only=True)
class Reading:
    """What the judge sees, as logits (depth: in [0, 1]); names as in `Truth`."""

    shapes: Float[Tensor, "b 8 64 64"]
    colors: Float[Tensor, "b 9 64 64"]
    depth: Float[Tensor, "b 64 64"]
    outlines: Float[Tensor, "b 64 64"]
    pairs: Float[Tensor, "b 56"]
    size_materials: Float[Tensor, "b 12"]
    materials: Float[Tensor, "b 4"]
    count: Float[Tensor, "b 6"]
    floor: Float[Tensor, "b 6"]
    sky: Float[Tensor, "b 6"]


class Judge(nn.Module):
    """A small U-shaped convolutional network with batch norm, 1.2 million parameters.

    Dense answers come from its widest map; which values are present is the largest of one answer at
    each of 16 x 16 places; count, floor and sky are read from the means of the coarse maps.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        a, b, c, d = width, 2 * width, 3 * width, 4 * width
        self.level64 = nn.Sequential(_conv(3, a), _Residual(a))
        self.level32 = nn.Sequential(_conv(a, b, stride=2), _Residual(b))
        self.level16 = nn.Sequential(_conv(b, c, stride=2), _Residual(c))
        self.level8 = nn.Sequential(_conv(c, d, stride=2), _Residual(d))
        self.up16 = _conv(d + c, d)
        self.up32 = _conv(d + b, b)
        self.up64 = _conv(b + a, a)
        self.dense = nn.Conv2d(a, sum(_DENSE.values()), 1)
        self.present = nn.Conv2d(d, sum(_PRESENT.values()), 1)
        self.whole = nn.Linear(2 * d, sum(_WHOLE.values()))
        nn.init.constant_(self.present.bias, -3.0)  # most values are absent

    def forward(self, image: Float[Tensor, "b 3 64 64"]) -> Reading:
        """Pictures in [-1, 1] -> readings in float32."""
        at64 = self.level64(image)
        at32 = self.level32(at64)
        at16 = self.level16(at32)
        at8 = self.level8(at16)
        up16 = self.up16(_joined(at8, at16))
        up32 = self.up32(_joined(up16, at32))
        dense = self.dense(self.up64(_joined(up32, at64))).float()
        present = self.present(up16).float().amax((2, 3))
        whole = self.whole(torch.cat([at8.mean((2, 3)), up16.mean((2, 3))], 1)).float()
        maps = dict(zip(_DENSE, dense.split(list(_DENSE.values()), 1), strict=True))
        return Reading(
            shapes=maps["shapes"],
            colors=maps["colors"],
            depth=maps["depth"][:, 0].sigmoid(),
            outlines=maps["outlines"][:, 0],
            **dict(zip(_PRESENT, present.split(list(_PRESENT.values()), 1), strict=True)),
            **dict(zip(_WHOLE, whole.split(list(_WHOLE.values()), 1), strict=True)),
        )


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


@torch.no_grad()
def read_pictures(judge: Judge, pictures: Float[Tensor, "b 3 64 64"], batch: int = 512) -> Reading:
    """Read pictures in parts; the judge must be in evaluation mode."""
    parts = [judge(part) for part in pictures.split(batch)]
    return Reading(
        **{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Reading)}
    )


def save_judge(state: dict[str, Tensor], path: str | Path) -> None:
    """Write a state in half precision."""
    from safetensors.torch import save_file

    halved = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    save_file({name: tensor.contiguous() for name, tensor in halved.items()}, path)


def load_judge(path: str | Path, device: torch.device | str = "cpu") -> Judge:
    """Read what `save_judge` wrote, in evaluation mode."""
    from safetensors.torch import load_file

    return judge_of(load_file(path), device)


def judge_of(state: dict[str, Tensor], device: torch.device | str = "cpu") -> Judge:
    """Build the judge of a state, frozen, in evaluation mode."""
    judge = Judge(state["level64.0.0.weight"].shape[0])
    judge.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in state.items()})
    return judge.eval().requires_grad_(False).to(device)


def measure_judge(judge: Judge, corpus: Corpus) -> dict[str, float]:
    """How often the judge is right on true pictures that it was not trained on.

    Returns:
        Shares in [0, 1], by name; `depth_correlation` is the mean correlation.
    """
    # Not at the top: scores know the judge.
    from scores import correlation, outline_f1, set_f1, shape_iou
    from truth64 import whole_truth

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


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


def _conv(inside: int, outside: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )


def _joined(coarse: Tensor, fine: Tensor) -> Tensor:
    """Enlarge the coarse map to the fine one and put both together."""
    return torch.cat([F.interpolate(coarse, scale_factor=2, mode="nearest"), fine], 1)
