"""PiDiNet, an edge detector built of pixel-difference convolutions (Su et al., ICCV 2021).

A pixel-difference convolution multiplies its kernel with differences of pixels instead of pixels.
Being linear, it equals a plain convolution with a rearranged kernel (section 3.2 of that paper), so
that the network below holds plain convolutions only and the kernels are rearranged once at loading.
Configuration `carv4`: the sixteen layers cycle through central, angular, radial and plain kernels.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

PiDiNetSize = Literal["pidinet", "pidinet-small", "pidinet-tiny"]

_WIDTHS: dict[str, tuple[int, int]] = {  # channels of the first stage, and of the side branches
    "pidinet": (60, 24),
    "pidinet-small": (30, 12),
    "pidinet-tiny": (20, 8),
}
_STAGES = (3, 4, 4, 4)  # blocks a stage; the initial convolution is the first stage's fourth layer
_MULTIPLIERS = (1, 2, 4, 4)
_CYCLE = ("central", "angular", "radial", "plain")
# For each place of a 3x3 kernel in reading order, its neighbour one step along the ring.
_RING = (3, 0, 1, 6, 4, 2, 7, 8, 5)
# The eight directions in a 5x5 kernel: the outer end, and the inner end on the same ray.
_OUTER = (0, 2, 4, 10, 14, 20, 22, 24)
_INNER = (6, 7, 8, 11, 13, 16, 17, 18)


def plain_kernel(kernel: Float[Tensor, "o i 3 3"], kind: str) -> Tensor:
    """The plain convolution kernel that equals a pixel-difference one.

    Args:
        kernel: Learned weights of the pixel-difference convolution.
        kind: "central" (pixel minus centre), "angular" (pixel minus the next one on the ring),
            "radial" (outer pixel minus inner pixel of the same ray, over 5x5) or "plain".

    Returns:
        A kernel `(o, i, 3, 3)`, or `(o, i, 5, 5)` for the radial kind.
    """
    flat = kernel.flatten(2)
    if kind == "central":
        flat = flat.clone()
        flat[..., 4] -= kernel.sum((2, 3))
        return flat.view_as(kernel)
    if kind == "angular":
        return (flat - flat[..., _RING]).view_as(kernel)
    if kind == "radial":
        large = kernel.new_zeros(*kernel.shape[:2], 25)
        # The eight rays carry weights 1 to 8 of the learned kernel: weight 0 has no ray.
        rays = flat[..., 1:]
        large[..., _OUTER] = rays
        large[..., _INNER] = -rays
        return large.view(*kernel.shape[:2], 5, 5)
    return kernel


def _kinds() -> dict[str, str]:
    """Name of each pixel-difference layer's weight -> its kind, by the `carv4` cycle."""
    names = ["init_block.weight"]
    for stage, blocks in enumerate(_STAGES, start=1):
        names += [f"block{stage}_{block}.conv1.weight" for block in range(1, blocks + 1)]
    return {name: _CYCLE[layer % len(_CYCLE)] for layer, name in enumerate(names)}


class _Block(nn.Module):
    """Depthwise convolution, ReLU, 1x1 convolution, and a residual connection."""

    def __init__(self, inputs: int, outputs: int, kind: str, *, halve: bool):
        super().__init__()
        side = 5 if kind == "radial" else 3
        self.halve = halve
        self.conv1 = nn.Conv2d(inputs, inputs, side, padding=side // 2, groups=inputs, bias=False)
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.halve:
            x = max_pool2d(x, 2)
        return self.conv2(self.conv1(x).relu()) + self.shortcut(x)


class _Dilated(nn.Module):
    """CDCM: a 1x1 reduction and the sum of four dilated convolutions."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 1)
        self.conv2_1, self.conv2_2, self.conv2_3, self.conv2_4 = (
            nn.Conv2d(outputs, outputs, 3, dilation=dilation, padding=dilation, bias=False)
            for dilation in (5, 7, 9, 11)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x.relu())
        return self.conv2_1(x) + self.conv2_2(x) + self.conv2_3(x) + self.conv2_4(x)


class _Attention(nn.Module):
    """CSAM: one spatial gate in (0, 1)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 1)
        self.conv2 = nn.Conv2d(4, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(x.relu())).sigmoid()


class _Reduce(nn.Module):
    """A side branch's features -> one map."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PiDiNet(nn.Module):
    """The edge detector with its kernels already plain.

    Parameter names are those of the published checkpoints, so that `load_published` is a plain
    strict load after rearranging sixteen kernels.

    Args:
        size: Which of the three published widths.
    """

    def __init__(self, size: PiDiNetSize):
        super().__init__()
        width, side = _WIDTHS[size]
        kinds = _kinds()
        self.init_block = nn.Conv2d(3, width, 3, padding=1, bias=False)
        channels = width
        for stage, (blocks, multiplier) in enumerate(
            zip(_STAGES, _MULTIPLIERS, strict=True), start=1
        ):
            for block in range(1, blocks + 1):
                name = f"block{stage}_{block}"
                outputs = width * multiplier
                halve = stage > 1 and block == 1
                kind = kinds[f"{name}.conv1.weight"]
                self.add_module(name, _Block(channels, outputs, kind, halve=halve))
                channels = outputs
        stages = [width * multiplier for multiplier in _MULTIPLIERS]
        self.dilations = nn.ModuleList(_Dilated(inputs, side) for inputs in stages)
        self.attentions = nn.ModuleList(_Attention(side) for _ in stages)
        self.conv_reduces = nn.ModuleList(_Reduce(side) for _ in stages)
        self.classifier = nn.Conv2d(len(stages), 1, 1)

    def load_published(self, state: dict[str, Tensor]) -> None:
        """Load a published (pixel-difference) state dict, with or without `module.` prefixes.

        Raises:
            RuntimeError: Names or shapes differ from this size's.
        """
        state = {name.removeprefix("module."): weight.float() for name, weight in state.items()}
        for name, kind in _kinds().items():
            if name in state:
                state[name] = plain_kernel(state[name], kind)
        self.load_state_dict(state)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Pictures normalised with the ImageNet mean and deviation -> fused edge map in (0, 1)."""
        x = self.init_block(image)
        sides = []
        for stage, blocks in enumerate(_STAGES, start=1):
            for block in range(1, blocks + 1):
                x = getattr(self, f"block{stage}_{block}")(x)
            branch = stage - 1
            features = self.attentions[branch](self.dilations[branch](x))
            side = self.conv_reduces[branch](features)
            sides.append(interpolate(side, image.shape[-2:], mode="bilinear", align_corners=False))
        return self.classifier(torch.cat(sides, 1)).sigmoid()
