"""Plain measures of pictures: no network, one number a picture, the higher the more alike."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Score = Float[Tensor, " b"]

LUMA = (0.2126, 0.7152, 0.0722)


def set_f1(found: Bool[Tensor, "b k"], wanted: Bool[Tensor, "b k"]) -> Score:
    """F1 of two sets; 1 where both are empty."""
    total = found.sum(1) + wanted.sum(1)
    return torch.where(total > 0, 2 * (found & wanted).sum(1) / total.clamp(min=1), 1.0)


def correlation(ours: Float[Tensor, "b h w"], theirs: Float[Tensor, "b h w"]) -> Score:
    """Pearson's, 0 where one is flat."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (ours, theirs))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)


def outline_f1(found: Bool[Tensor, "b h w"], wanted: Bool[Tensor, "b h w"]) -> Score:
    """F1 of lines with one pixel of tolerance; 1 where neither shows any."""

    def near(lines: Tensor) -> Tensor:
        return F.max_pool2d(lines.float()[:, None], 3, 1, 1)[:, 0] > 0

    precision = (found & near(wanted)).sum((1, 2)) / found.sum((1, 2)).clamp(min=1)
    recall = (wanted & near(found)).sum((1, 2)) / wanted.sum((1, 2)).clamp(min=1)
    neither = ~(found | wanted).flatten(1).any(1)
    return torch.where(neither, 1.0, 2 * precision * recall / (precision + recall).clamp(min=1e-6))


def lab_agreement(pictures: Tensor, wanted: Tensor) -> Score:
    """1 minus the mean 1-Wasserstein distance of L, a and b, over 30 units, as on photos."""
    ours, theirs = (lab(p).flatten(2).sort(2).values for p in (pictures, wanted))
    return 1 - (ours - theirs).abs().mean((1, 2)) / 30


def known_pixels(pictures: Tensor, wanted: Tensor, known: Bool[Tensor, "b h w"]) -> Score:
    """1 minus the mean absolute error of RGB in [0, 1] where pixels were given."""
    error = ((pictures - wanted).abs().mean(1) * known).sum((1, 2)) / known.sum((1, 2))
    return 1 - error / 2


def luma(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
    """Rec. 709 luma in [0, 1]."""
    weights = torch.tensor(LUMA, device=pictures.device)[:, None, None]
    return ((pictures + 1) / 2 * weights).sum(1)


def psnr(pictures: Tensor, wanted: Tensor) -> Score:
    """Peak signal-to-noise ratio in decibels of pictures in [-1, 1]."""
    error = ((pictures - wanted) / 2).square().flatten(1).mean(1)
    return -10 * error.clamp(min=1e-10).log10()


def ssim(ours: Float[Tensor, "b h w"], theirs: Float[Tensor, "b h w"]) -> Score:
    """Structural similarity (Wang et al. 2004) of maps in [0, 1], uniform windows of 7 x 7."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x[:, None].double(), 7, 1)

    a, b = mean(ours), mean(theirs)
    share = 49 / 48  # sample variances
    aa, bb = (share * (mean(x * x) - m * m) for x, m in ((ours, a), (theirs, b)))
    ab = share * (mean(ours * theirs) - a * b)
    c1, c2 = 0.01**2, 0.03**2
    value = ((2 * a * b + c1) * (2 * ab + c2)) / ((a * a + b * b + c1) * (aa + bb + c2))
    return value.mean((1, 2, 3)).float()


def lab(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """CIELAB, under D65, of sRGB pictures in [-1, 1]."""
    encoded = ((pictures + 1) / 2).clamp(0, 1)
    linear = torch.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    )
    matrix = torch.tensor(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ],
        device=pictures.device,
    )
    white = matrix.sum(1)
    xyz = torch.einsum("kc,bchw->bkhw", matrix / white[:, None], linear)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def slopes(grey: Float[Tensor, "b h w"]) -> Float[Tensor, "b 2 h w"]:
    """Sobel's slopes of maps to the right and downwards, in units a pixel."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    kernels = torch.stack([across, across.T])[:, None].to(grey)
    return F.conv2d(F.pad(grey[:, None], (1, 1, 1, 1), mode="replicate"), kernels)


def slope_crests(grey: Float[Tensor, "b h w"], least: float = 0.05) -> Bool[Tensor, "b h w"]:
    """Edges one pixel wide: where the slope is steepest along its main direction.

    Args:
        grey: Maps in [0, 1].
        least: Least slope of an edge, in units a pixel.
    """
    right, down = slopes(grey).unbind(1)
    steep = (right.square() + down.square()).sqrt()
    padded = F.pad(steep, (1, 1, 1, 1))
    # Of two equal ones beside each other the first counts: a clean step is one line.
    across = (steep > padded[:, 1:-1, :-2]) & (steep >= padded[:, 1:-1, 2:])
    along = (steep > padded[:, :-2, 1:-1]) & (steep >= padded[:, 2:, 1:-1])
    return (steep > least) & torch.where(right.abs() >= down.abs(), across, along)


def edge_steepness(
    grey: Float[Tensor, "b h w"], shape: Bool[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Chance that a pixel on a shape's outline has a steeper slope than one elsewhere (AUC).

    Equal slopes count half, so that a flat picture has 0.5. NaN where a picture shows no outline of
    at least eight pixels.
    """
    steep = slopes(grey).square().sum(1).flatten(1)
    near, far = (F.max_pool2d(side.float()[:, None], 3, 1, 1)[:, 0] > 0 for side in (shape, ~shape))
    on = (near & far).flatten(1)
    inside, outside = on.sum(1), (~on).sum(1)
    ordered = steep.sort(1).values
    below, upto = (torch.searchsorted(ordered, steep, right=right) for right in (False, True))
    ranks = (below + upto - 1).double() / 2  # of equal slopes, the mean of their places
    first = (ranks * on).sum(1) - inside * (inside - 1) / 2
    chance = first / (inside * outside).clamp(min=1)
    return torch.where((inside >= 8) & (outside >= 8), chance, torch.nan).float()
