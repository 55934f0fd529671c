"""From a soft edge map to few clean strokes: thinning, hysteresis, removal of specks.

Differs from the paper: the lab feeds edges to a learned simplification network (Simo-Serra et al.,
2018), whose weights forbid commercial use. These steps do by rule what that network is there for:
one stroke where the detector answers with a broad band, none where it answers weakly or in dots.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

# Steps (dy, dx) across a ridge for the four directions 0, 45, 90 and 135 degrees.
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))
_LEAST_CURVATURE = 1e-3  # of the strength itself; a crest of a 2 px wide band has 0.2
_BORDER = 2  # detectors pad, so that the outermost pixels answer to the padding
_BESIDE, _DIAGONAL = 0.4, 0.2  # a pen's ink next to the middle of its stroke


def thin(strength: Float[Tensor, "b 1 h w"], sigma: float = 1.0) -> Float[Tensor, "b 1 h w"]:
    """Keep only the crests of an edge map (non-maximum suppression across the ridge).

    The direction across a ridge is that of the strongest negative curvature, from the second
    differences of the blurred map; a pixel stays when no neighbour along it is higher.

    Args:
        strength: Edge strength, any non-negative range.
        sigma: Blur in pixels, against crests that a detector answers with two pixels wide.

    Returns:
        The strength on crests, zero elsewhere.
    """
    smooth = blur(strength, sigma)
    padded = pad(smooth, (1, 1, 1, 1), mode="replicate")
    height, width = smooth.shape[-2:]

    def moved(dy: int, dx: int) -> Tensor:
        return padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    pairs = [(moved(dy, dx), moved(-dy, -dx)) for dy, dx in _STEPS]
    # Diagonal neighbours are sqrt(2) away, so that their second difference counts half.
    curvature = torch.stack(
        [
            (one + other - 2 * smooth) / (dy * dy + dx * dx)
            for (one, other), (dy, dx) in zip(pairs, _STEPS, strict=True)
        ]
    )
    sharpest, across = curvature.min(0)
    # Strict against one side only, so that of two equal neighbours exactly one stays.
    crest = torch.stack([(smooth > one) & (smooth >= other) for one, other in pairs])
    # On slopes and plains the smallest curvature is rounding noise along the ridge: no crest.
    crest = crest.gather(0, across[None])[0] & (sharpest < -_LEAST_CURVATURE * smooth)
    return strength * crest


def select(
    crests: Float[Tensor, "b 1 h w"], *, low: float, high: float, min_length: int
) -> Bool[Tensor, "b 1 h w"]:
    """Choose whole strokes: connected crests over `low` that reach `high` and are long enough.

    Args:
        crests: One-pixel crests with their strength.
        low: Weakest strength that a stroke may run through.
        high: Strength that a stroke must reach somewhere.
        min_length: Fewest pixels of a stroke; shorter ones are specks.

    Returns:
        True on the pixels of the chosen strokes, on the device of `crests`.
    """
    import numpy as np
    from scipy import ndimage

    strength = crests[:, 0].detach().float().cpu().numpy().copy()
    for side in (slice(None, _BORDER), slice(-_BORDER, None)):
        strength[:, side] = 0
        strength[:, :, side] = 0
    # One labelling for the batch: 8-connected in the picture, unconnected between pictures.
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1] = True
    labels = np.zeros(strength.shape, dtype=np.int32)
    count = int(ndimage.label(strength > low, structure=structure, output=labels))  # pyright: ignore[reportArgumentType]
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    reaches = np.bincount(labels[strength >= high], minlength=count + 1) > 0
    chosen = reaches & (sizes >= min_length)
    chosen[0] = False
    return torch.from_numpy(chosen[labels])[:, None].to(crests.device)


def draw(strokes: Bool[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Draw one-pixel strokes with a soft pen about two pixels wide: 1 in the middle, less beside.

    Bare pixels would flicker under resampling to H x W; this pen survives halving.
    """
    ink = strokes.float()
    beside = torch.maximum(
        max_pool2d(ink, (1, 3), stride=1, padding=(0, 1)),
        max_pool2d(ink, (3, 1), stride=1, padding=(1, 0)),
    )
    around = max_pool2d(ink, 3, stride=1, padding=1)
    return torch.maximum(ink, torch.maximum(_BESIDE * beside, _DIAGONAL * around))


def blur(x: Float[Tensor, "b 1 h w"], sigma: float) -> Float[Tensor, "b 1 h w"]:
    """Blur with a separable Gaussian of `sigma` pixels; the border pixels repeat outwards."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    # Sums of moved pictures: the same numbers as conv2d's, which is four times as slow on a CPU.
    for axis, sides in ((-1, (radius, radius, 0, 0)), (-2, (0, 0, radius, radius))):
        length = x.shape[axis]
        padded = pad(x, sides, mode="replicate")
        x = padded.narrow(axis, 0, length) * kernel[0]
        for i in range(1, len(kernel)):
            x = torch.addcmul(x, padded.narrow(axis, i, length), kernel[i])
    return x
