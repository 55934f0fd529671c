"""The judge: a network that reads 64 px pictures of scenes, trained on the renderer's truth alone.

It shares nothing with any condition's extractor: no weights, no architecture, no inputs but the
picture. It has seen every pair of colour and shape. Training pictures were softened and disturbed a
little, so that it reads generated pictures as well as rendered ones (trained by
`benchmarks/scene_model/judge.py`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from composer_pl.data.scenes.vocabulary import (
    COLORS,
    FLOORS,
    MATERIALS,
    MAX_OBJECTS,
    SHAPES,
    SKIES,
)
from composer_pl.evaluation.scenes.truth import PAIRS, SIDE, SIZE_MATERIALS
from composer_pl.models.pretrained import FOLDER, WEIGHTS

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
    each of 16 x 16 places; count, floor and sky are read from the means of the coarse maps, which
    are its features too.

    Args:
        width: Channels of the widest map.
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
        bias = torch.full((sum(_PRESENT.values()),), -3.0)  # most values are absent
        self.present.bias = nn.Parameter(bias)

    @property
    def feature_width(self) -> int:
        """Numbers that `features` answers for a picture: 256 for the shipped judge."""
        return self.whole.in_features

    def features(self, image: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b _width"]:
        """Penultimate features of pictures in [-1, 1]: means of the two coarsest maps, float32."""
        _, _, at8, up16 = self._coarse(image)
        return _means(at8, up16)

    def forward(self, image: Float[Tensor, "b 3 64 64"]) -> Reading:
        """Pictures in [-1, 1] -> readings in float32."""
        at64, at32, at8, up16 = self._coarse(image)
        up32 = self.up32(_joined(up16, at32))
        dense = self.dense(self.up64(_joined(up32, at64))).float()
        present = self.present(up16).float().amax((2, 3))
        whole = self.whole(_means(at8, up16)).float()
        maps = dict(zip(_DENSE, dense.split(list(_DENSE.values()), 1), strict=True))
        return Reading(
            shapes=maps["shapes"],
            colors=maps["colors"],
            depth=maps["depth"][:, 0].sigmoid(),
            outlines=maps["outlines"][:, 0],
            **dict(zip(_PRESENT, present.split(list(_PRESENT.values()), 1), strict=True)),
            **dict(zip(_WHOLE, whole.split(list(_WHOLE.values()), 1), strict=True)),
        )

    def _coarse(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        at64 = self.level64(image)
        at32 = self.level32(at64)
        at16 = self.level16(at32)
        at8 = self.level8(at16)
        return at64, at32, at8, self.up16(_joined(at8, at16))


def to_side(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 64 64"]:
    """Bring pictures in [-1, 1] to the judge's 64 px: means of pixels, or antialiased bicubic."""
    height, width = pictures.shape[-2:]
    if (height, width) == (SIDE, SIDE):
        return pictures
    if height == width and height % SIDE == 0:
        return F.avg_pool2d(pictures, height // SIDE)
    resized = F.interpolate(
        pictures, size=(SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False
    )
    return resized.clamp(-1, 1)


@torch.no_grad()
def read_pictures(judge: Judge, pictures: Float[Tensor, "b 3 64 64"], batch: int = 512) -> Reading:
    """Read pictures in parts; the judge must be in evaluation mode."""
    parts = [judge(part) for part in pictures.split(batch)]
    return Reading(
        **{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Reading)}
    )


def judge_file() -> Path:
    """The shipped weights."""
    return FOLDER / "scenes-judge" / WEIGHTS


def judge_digest(path: str | Path | None = None) -> str:
    """SHA-256 of a judge's file; None is the shipped one."""
    return hashlib.sha256(Path(path or judge_file()).read_bytes()).hexdigest()


def save_judge(state: Mapping[str, Tensor], path: str | Path) -> None:
    """Write a state in half precision."""
    from safetensors.torch import save_file

    halved = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    save_file({name: tensor.contiguous() for name, tensor in halved.items()}, path)


def load_judge(path: str | Path | None = None, device: torch.device | str = "cpu") -> Judge:
    """Read what `save_judge` wrote, in evaluation mode; None is the shipped judge."""
    from safetensors.torch import load_file

    return judge_of(load_file(path or judge_file()), device)


def judge_of(state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> Judge:
    """Build the judge of a state, frozen, in evaluation mode."""
    judge = Judge(state["level64.0.0.weight"].shape[0])
    judge.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in state.items()})
    return judge.eval().requires_grad_(False).to(device)


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


def _means(at8: Tensor, up16: Tensor) -> Tensor:
    return torch.cat([at8.mean((2, 3)), up16.mean((2, 3))], 1)
