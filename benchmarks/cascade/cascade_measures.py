"""Measures of enlarged pictures against the true ones, beside bicubic interpolation."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PATCH = 5


class PerceptualDistance:
    """Distance of features of PiDiNet (small), an edge detector trained on photos (BSDS500).

    As LPIPS (Zhang et al., 2018) without its learned weights: features of the four stages, each
    place brought to unit length, squared differences, mean over places and stages. 0 is equal.
    It is not LPIPS, and its numbers do not compare with LPIPS's.
    """

    NAME = "PiDiNet-small (BSDS500), four stages, unweighted"

    def __init__(self, weights: Path):
        from composer_pl_sketch.pidinet import PiDiNet

        self.network = PiDiNet("pidinet-small")
        self.network.load_published(load_file(weights))
        self.network.eval().requires_grad_(False)
        self.found: list[Tensor] = []
        for name in ("block1_3", "block2_4", "block3_4", "block4_4"):
            getattr(self.network, name).register_forward_hook(
                lambda module, given, answer: self.found.append(answer)
            )

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """One number a picture; pictures in [-1, 1]."""
        pairs = zip(self._features(a), self._features(b), strict=True)
        stages = [(x - y).square().sum(1).mean((1, 2)) for x, y in pairs]
        return torch.stack(stages).mean(0)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        self.found = []
        mean, deviation = (torch.tensor(v)[:, None, None].to(pictures) for v in (_MEAN, _DEVIATION))
        self.network(((pictures + 1) / 2 - mean) / deviation)
        return [F.normalize(features, dim=1) for features in self.found]


def psnr(found: Tensor, truth: Tensor) -> Tensor:
    """Decibels, one number a picture; pictures in [-1, 1]."""
    error = (found - truth).square().mean((1, 2, 3))
    return -10 * (error / 4).clamp(min=1e-10).log10()


def consistency(found: Tensor, low: Tensor) -> Tensor:
    """PSNR of the picture made small again against the small one that it came from."""
    scale = low.shape[-1] / found.shape[-1]
    again = F.interpolate(found, scale_factor=scale, mode="bicubic", antialias=True)
    return psnr(again.clamp(-1, 1), low)


def sharpness(found: Tensor, truth: Tensor) -> Tensor:
    """Energy of the differences of neighbours over that of the true picture; 1 is right."""

    def energy(pictures: Tensor) -> Tensor:
        across, down = (
            pictures[..., 1:] - pictures[..., :-1],
            pictures[..., 1:, :] - pictures[..., :-1, :],
        )
        return across.square().mean((1, 2, 3)) + down.square().mean((1, 2, 3))

    return energy(found) / energy(truth).clamp(min=1e-12)


def patch_distance(found: Tensor, truth: Tensor, *, patches: int = 20_000, seed: int = 0) -> float:
    """Sliced Wasserstein distance of patches of 5 pixels, without their means, of all pictures.

    Patches of both sides are projected on 128 random directions; it is the mean absolute difference
    of the sorted projections, in grey levels of 255.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = F.normalize(torch.randn(3 * _PATCH**2, 128, generator=generator), dim=0)

    def projected(pictures: Tensor) -> Tensor:
        height, width = pictures.shape[2] - _PATCH + 1, pictures.shape[3] - _PATCH + 1
        own = torch.Generator().manual_seed(seed + 1)  # the same places in both
        n = torch.randint(len(pictures), (patches,), generator=own)
        y = torch.randint(height, (patches,), generator=own)
        x = torch.randint(width, (patches,), generator=own)
        offsets = torch.arange(_PATCH)
        rows = (y[:, None] + offsets)[:, :, None].expand(-1, -1, _PATCH)
        columns = (x[:, None] + offsets)[:, None].expand(-1, _PATCH, -1)
        cut = pictures[n[:, None, None], :, rows, columns]  # patches, 5, 5, 3
        cut = cut - cut.mean((1, 2), keepdim=True)
        return (cut.flatten(1) @ directions).sort(0).values

    return float((projected(found) - projected(truth)).abs().mean()) * 127.5
