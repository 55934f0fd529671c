"""Edge detectors behind one form: a Module from pictures in [-1, 1] to edge strength in [0, 1]."""

from math import pi, sqrt
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from composer_pl.plugin import MissingWeightsError, require
from composer_pl_sketch.pidinet import PiDiNet, PiDiNetSize
from composer_pl_sketch.simplify import blur

Edges = Literal["canny", "dexined", "pidinet", "pidinet-small", "pidinet-tiny"]

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_DEXINED_MEAN_BGR = (103.939, 116.779, 123.68)
_CANNY_SIGMA = 1.7  # pixels of a 256 px canvas; finer is texture, coarser rounds corners
_PIDINET_LEAST = 8  # its three halvings need as many pixels a side
_NAMED = 3  # tensors that a message names
_NEEDED_BY = "The condition 'sketch'"


def build_detector(edges: Edges, weights: Path | None) -> nn.Module:
    """Build a detector and load its weights.

    Args:
        edges: Which one.
        weights: Its file; None for "canny", which has none.

    Returns:
        A Module in evaluation mode, `(b, 3, h, w)` -> `(b, 1, h, w)`.

    Raises:
        MissingDependencyError: kornia is absent and needed.
        MissingWeightsError: The file holds other weights than this detector's.
    """
    if weights is None:
        return Canny().eval()
    state = read_state(weights)
    try:
        if edges == "dexined":
            return DexiNed(state).eval()
        return PiDiNetEdges(edges, state).eval()  # type: ignore[arg-type]
    except RuntimeError as error:
        reason = _brief(error)
        raise MissingWeightsError(
            f"Loading edge detector {edges!r}: expected its published weights in {weights}, found "
            f"other tensors ({reason}). Next: give the file of {edges!r}, or set `edges` to the "
            f"detector that the file belongs to."
        ) from error


def _brief(error: Exception) -> str:
    """The last line of an error, of a list of tensors in it the first three."""
    line = str(error).strip().rpartition("\n")[2].strip().rstrip(".")
    what, *names = line.split('"')[: 2 * _NAMED]
    more = line.count('"') // 2 - _NAMED
    if names and more > 0:
        line = f"{what}{', '.join(names[::2])} and {more} more"
    return line or type(error).__name__


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, or from a torch file without running its code.

    Raises:
        MissingWeightsError: The file is neither.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        if not all(isinstance(weight, Tensor) for weight in state.values()):
            raise ValueError("values that are no tensors")
    except Exception as error:  # readers raise whatever a foreign file makes them stumble over
        reason = str(error).strip().partition("\n")[0] or "no reason given"
        raise MissingWeightsError(
            f"Reading edge detector weights: expected a .safetensors or a torch checkpoint at "
            f"{path}, found {type(error).__name__}: {reason}. Next: fetch the file anew."
        ) from error
    return state


class PiDiNetEdges(nn.Module):
    """PiDiNet on pictures in [-1, 1].

    Args:
        size: Which published width.
        state: Its published (pixel-difference) weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: PiDiNetSize, state: dict[str, Tensor]):
        super().__init__()
        self.net = PiDiNet(size)
        self.net.load_published(state)
        # Depthwise convolutions run twice as fast on the CPU with channels last.
        self.net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Pictures in [-1, 1] -> edge strength in (0, 1)."""
        height, width = image.shape[-2:]
        lacking = (0, max(0, _PIDINET_LEAST - width), 0, max(0, _PIDINET_LEAST - height))
        if any(lacking):
            image = pad(image, lacking, mode="replicate")
        x = ((image + 1) / 2 - self.mean) / self.std
        x = x.contiguous(memory_format=torch.channels_last)
        # One picture's maps fit a processor's cache: 1.5 times as fast as the whole batch.
        parts = x.split(1) if x.device.type == "cpu" else (x,)
        edges = torch.cat([self.net(part) for part in parts])
        return edges[..., :height, :width]


class DexiNed(nn.Module):
    """kornia's DexiNed (Soria et al., WACV 2020) on pictures in [-1, 1].

    Args:
        state: The published weights.
    """

    mean: Tensor

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        models = require("kornia.models.dexined", needed_by=_NEEDED_BY, install="kornia")
        self.net = models.DexiNed(pretrained=False)
        self.net.load_state_dict(state)
        self.register_buffer("mean", torch.tensor(_DEXINED_MEAN_BGR).view(3, 1, 1))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Pictures in [-1, 1] -> edge strength in (0, 1); the network wants BGR levels."""
        levels = (image.flip(1) + 1) * 127.5
        return self.net(levels - self.mean).sigmoid()


class Canny(nn.Module):
    """Canny's edge strength, the slope of the blurred picture; needs no weights.

    The steepest colour channel counts, so that a red flower on green leaves has an outline though
    both are equally light. Thinning and hysteresis, Canny's other steps, are `simplify`'s.
    """

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Pictures in [-1, 1] -> edge strength in [0, 1]: the contrast of a step edge."""
        batch, channels, height, width = image.shape
        smooth = blur((image.reshape(-1, 1, height, width) + 1) / 2, _CANNY_SIGMA)
        padded = pad(smooth, (1, 1, 1, 1), mode="replicate")
        across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
        down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
        slope = torch.hypot(across, down) / 2
        # A blurred step of contrast 1 has the slope of the Gaussian's peak.
        strength = slope * (_CANNY_SIGMA * sqrt(2 * pi))
        strength = strength.reshape(batch, channels, height, width).amax(1, keepdim=True)
        return strength.clamp(0, 1)
