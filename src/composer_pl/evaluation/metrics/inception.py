"""The Inception network of FID, built from its weights for speed.

Szegedy 2015, as TensorFlow's `inception-2015-12-05` has it and as torch-fidelity, torchmetrics and
pytorch-fid store it. Differs from their code in arithmetic only, to a few parts in a million:
batch norms are folded into convolutions, 1x1 convolutions of one input are done as one, averages
are taken after a 1x1 convolution and not before, and pixels are stored channels last.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 299
"""Side of the pictures that the network takes."""

_EPSILON = 1e-3  # of the batch norms
_STEM = (
    # name, stride, whether the border is padded; None is a 3x3 maximum of stride 2
    ("Conv2d_1a_3x3", 2, False),
    ("Conv2d_2a_3x3", 1, False),
    ("Conv2d_2b_3x3", 1, True),
    None,
    ("Conv2d_3b_1x1", 1, True),
    ("Conv2d_4a_3x3", 1, False),
    None,
)
# Branches of a block in the order in which they are joined. A step is a convolution, named as in
# the file without `branch`; `/` halves the side without padding, `a|b` are two convolutions of
# one input. `avg`, `max` and `max/` pool.
_SHAPES = {
    "A": "1x1, 5x5_1 5x5_2, 3x3dbl_1 3x3dbl_2 3x3dbl_3, avg _pool",
    "B": "3x3/, 3x3dbl_1 3x3dbl_2 3x3dbl_3/, max/",
    "C": "1x1, 7x7_1 7x7_2 7x7_3, 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5, avg _pool",
    "D": "3x3_1 3x3_2/, 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4/, max/",
    "E": "1x1, 3x3_1 3x3_2a|3x3_2b, 3x3dbl_1 3x3dbl_2 3x3dbl_3a|3x3dbl_3b, avg _pool",
    "F": "1x1, 3x3_1 3x3_2a|3x3_2b, 3x3dbl_1 3x3dbl_2 3x3dbl_3a|3x3dbl_3b, max _pool",
}
_BLOCKS = {
    "Mixed_5b": "A",
    "Mixed_5c": "A",
    "Mixed_5d": "A",
    "Mixed_6a": "B",
    "Mixed_6b": "C",
    "Mixed_6c": "C",
    "Mixed_6d": "C",
    "Mixed_6e": "C",
    "Mixed_7a": "D",
    "Mixed_7b": "E",
    "Mixed_7c": "F",
}


_POOLS = ("avg", "max", "max/")


class Inception(nn.Module):
    """Resized pictures -> features of the last pooling layer.

    Args:
        state: Tensors in the layout of `weights-inception-2015-12-05-6726825d.pth`; widths are
            read from them. Those of the classifier are not needed.

    Raises:
        KeyError: A tensor is missing.
        RuntimeError: Tensors do not fit each other.
    """

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        stem: list[nn.Module] = []
        for step in _STEM:
            if step is None:
                stem.append(nn.MaxPool2d(3, 2))
            else:
                name, stride, padded = step
                stem.append(_folded(state, name, stride=stride, padded=padded).build())
                stem.append(nn.ReLU(inplace=True))
        self.stem = nn.Sequential(*stem)
        self.blocks = nn.Sequential(*(_Block(state, n, _SHAPES[s]) for n, s in _BLOCKS.items()))
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        with torch.no_grad():  # the smallest picture finds layers that do not fit each other
            self.width = self(torch.zeros(1, 3, 75, 75)).shape[1]

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b _width"]:
        """Pictures in [0, 255], not rounded, of side `SIDE`."""
        scaled = (pictures - 128) / 128
        maps = self.blocks(self.stem(scaled.contiguous(memory_format=torch.channels_last)))
        return maps.mean((2, 3))


@dataclass(frozen=True)
class _Folded:
    """A convolution with its batch norm inside."""

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padded: bool = True

    @property
    def pointwise(self) -> bool:
        return tuple(self.weight.shape[2:]) == (1, 1) and self.stride == 1

    def build(self) -> nn.Conv2d:
        outside, inside, high, wide = self.weight.shape
        padding = (high // 2, wide // 2) if self.padded else 0
        layer = nn.Conv2d(inside, outside, (high, wide), self.stride, padding, device="meta")
        layer.weight, layer.bias = nn.Parameter(self.weight), nn.Parameter(self.bias)
        return layer


def _folded(
    state: Mapping[str, Tensor], name: str, *, stride: int = 1, padded: bool = True
) -> _Folded:
    """Read a convolution and its batch norm, and fold them in float64."""
    norm = {part: state[f"{name}.bn.{part}"].double() for part in _NORM}
    gain = norm["weight"] / (norm["running_var"] + _EPSILON).sqrt()
    weight = state[f"{name}.conv.weight"].double() * gain[:, None, None, None]
    bias = norm["bias"] - norm["running_mean"] * gain
    return _Folded(weight.float(), bias.float(), stride, padded)


_NORM = ("weight", "bias", "running_mean", "running_var")


class _Block(nn.Module):
    """Branches of one input, joined along channels; leading 1x1 convolutions are done together."""

    def __init__(self, state: Mapping[str, Tensor], name: str, shape: str):
        super().__init__()
        branches: list[_Branch] = []
        shared: list[_Folded] = []
        for text in shape.split(", "):
            words = text.split()
            pool = words.pop(0) if words[0] in _POOLS else ""
            steps = [_step(state, f"{name}.branch", word) for word in words]
            leading = bool(steps) and pool in ("", "avg") and steps[0][0].pointwise
            if leading:
                shared += steps.pop(0)
            branches.append(_Branch(pool, steps, leading=leading))
        self.branches = nn.ModuleList(branches)
        self.leading = [branch.leading for branch in branches]
        self.widths = [len(part.weight) for part in shared]
        weights = [part.weight for part in shared]
        self.shared = None
        if shared:
            self.shared = _Folded(torch.cat(weights), torch.cat([p.bias for p in shared])).build()

    def forward(self, x: Tensor) -> Tensor:
        parts = () if self.shared is None else self.shared(x).split(self.widths, 1)
        given = iter(parts)
        pairs = zip(self.branches, self.leading, strict=True)
        return torch.cat([branch(next(given) if led else x) for branch, led in pairs], 1)


class _Branch(nn.Module):
    """A pooling or none, then convolutions; a leading one was done by the block, up to its ReLU.

    An average and a 1x1 convolution can change places, which leaves fewer channels to average.
    """

    def __init__(self, pool: str, steps: list[list[_Folded]], *, leading: bool):
        super().__init__()
        self.pool, self.leading = pool, leading
        self.steps = nn.ModuleList(nn.ModuleList(c.build() for c in step) for step in steps)

    def forward(self, x: Tensor) -> Tensor:
        if self.pool == "avg":
            x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        elif self.pool == "max":
            x = F.max_pool2d(x, 3, 1, 1)
        elif self.pool == "max/":
            x = F.max_pool2d(x, 3, 2)
        if self.leading:
            x = F.relu(x)
        for step in self.steps:
            x = torch.cat([F.relu(c(x), inplace=True) for c in step], 1)  # type: ignore[union-attr]
        return x


def _step(state: Mapping[str, Tensor], prefix: str, word: str) -> list[_Folded]:
    """The convolutions of one step, `a`, `a/` or `a|b`."""
    halves = word.endswith("/")
    return [
        _folded(state, prefix + name, stride=2 if halves else 1, padded=not halves)
        for name in word.rstrip("/").split("|")
    ]
