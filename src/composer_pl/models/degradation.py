"""How small pictures are corrupted in training, so that an upsampler forgives those of a model.

unCLIP (section 2.2) blurs the small pictures of its first upsampler and corrupts those of its
second as blind super-resolution does (Zhang et al., 2021, "Designing a Practical Degradation Model
for Deep Blind Image Super-Resolution"; Rombach et al., 2022, appendix D.6, use a light form of it).
Every draw comes from the sample's key; samples that have the same thing done to them share a call.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, exp, pi
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.models.jpeg import jpeg
from composer_pl.randomness import keyed_draws, keyed_normal, keyed_uniform

Strength = Literal["bsr_light", "bsr"]
_MODES = ("bilinear", "bicubic", "area")
_MOST_RADIUS = 12  # kernels of up to 25 pixels, as published
_GREY = 0.4  # share of samples whose noise has no colour
_HALVED = 0.25  # share of samples that are halved before all else, where the factor is 4 or more


@dataclass(frozen=True, kw_only=True)
class _Ranges:
    """From what a strength draws: blurs by their number and share of full width, levels of 255."""

    blurs: int
    width: float
    noise: tuple[float, float]
    quality: tuple[float, float] = (80.0, 95.0)


_RANGES: dict[str, _Ranges] = {
    "bsr_light": _Ranges(blurs=1, width=0.25, noise=(1.0, 2.0)),
    "bsr": _Ranges(blurs=2, width=1.0, noise=(2.0, 25.0)),
}


def gaussian_blurred(low: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """Pictures under a Gaussian blur of kernel 3, edges repeated; the very same for sigma 0."""
    if not sigma:
        return low
    side = exp(-0.5 / sigma**2)
    centre = 1 / (1 + 2 * side)
    row = torch.tensor([side * centre, centre, side * centre]).to(low)
    channels = low.shape[1]
    kernel = (row[:, None] * row).expand(channels, 1, 3, 3)
    return F.conv2d(F.pad(low, (1, 1, 1, 1), "replicate"), kernel, groups=channels)


def blind_degraded(
    pictures: Float[Tensor, "b 3 h w"],
    *,
    factor: int,
    keys: Int[Tensor, " b"],
    strength: Strength = "bsr_light",
) -> Float[Tensor, "b 3 small_h small_w"]:
    """Small, corrupted pictures of large ones.

    Blur (round or not), resizing to a random size, noise and JPEG follow each other in an order of
    each sample's own; resizing to the small size comes after them and JPEG last.

    Args:
        pictures: Large pictures in [-1, 1].
        factor: Side of the large pictures divided by that of the small ones.
        keys: One key a sample.
        strength: `bsr_light` blurs once and little and adds noise of 1 to 2 grey levels of 255;
            `bsr` blurs twice, by kernels of up to 25 pixels, with noise of 2 to 25 levels.

    Returns:
        Pictures in [-1, 1] on the levels of 8 bits.
    """
    ranges, device = _RANGES[strength], pictures.device
    target = (pictures.shape[2] // factor, pictures.shape[3] // factor)
    state = list(pictures.float())
    steps = ["blur"] * ranges.blurs + ["resize", "noise", "jpeg"]
    order = keyed_draws(keys, "bsr order", lambda g: torch.randperm(len(steps), generator=g))
    if factor >= 4:
        halved = (keyed_uniform(keys, "bsr halved") < _HALVED).tolist()
        for rows in _alike(state, lambda i: halved[i]):
            if halved[rows[0]]:
                _apply(state, rows, lambda x: _resized(x, (x.shape[2] // 2, x.shape[3] // 2)))
    names = [[f"{steps[j]} {j}" for j in row] for row in order.tolist()]
    for position in range(len(steps)):
        for rows in _alike(state, lambda i, at=position: names[i][at]):
            purpose, chosen = names[rows[0]][position], keys[rows]
            step = purpose.partition(" ")[0]
            if step == "blur":
                _apply(
                    state, rows, lambda x, k=chosen, p=purpose: _blurred(x, k, p, factor, ranges)
                )
            elif step == "noise":
                _apply(state, rows, lambda x, k=chosen: _noisy(x, k, ranges))
            elif step == "jpeg":
                _apply(state, rows, lambda x, k=chosen, p=purpose: _filed(x, k, p, ranges))
            else:
                _resize_at_random(state, rows, chosen, factor, pictures.shape[2:])
    modes = (keyed_uniform(keys, "bsr last mode") * len(_MODES)).long().tolist()
    for rows in _alike(state, lambda i: modes[i]):
        _apply(state, rows, lambda x, m=_MODES[modes[rows[0]]]: _resized(x, target, m))
    return _filed(torch.stack(state).to(device), keys, "last", ranges).to(pictures.dtype)


def _alike(state: list[Tensor], what: Callable[[int], object]) -> Iterator[list[int]]:
    """Rows of samples of one size that have the same thing done to them."""
    groups: dict[object, list[int]] = {}
    for i, picture in enumerate(state):
        groups.setdefault((what(i), picture.shape), []).append(i)
    yield from groups.values()


def _apply(state: list[Tensor], rows: list[int], change: Callable[[Tensor], Tensor]) -> None:
    """Put what `change` makes of some samples in their places."""
    for i, picture in zip(rows, change(torch.stack([state[i] for i in rows])), strict=True):
        state[i] = picture


def _blurred(x: Tensor, keys: Tensor, purpose: str, factor: int, ranges: _Ranges) -> Tensor:
    """Blur by Gaussians of random widths, half of them longer one way, at a random angle."""
    draw = keyed_uniform(keys, f"bsr {purpose}", (4,))
    even = draw[:, 3:] < 0.5
    round_width = (2 + 0.2 * factor) * ranges.width
    long_width = (4 + factor) * ranges.width
    sigma = torch.where(even, draw[:, :1] * round_width, draw[:, :2] * long_width).clamp(min=0.1)
    angle = draw[:, 2] * pi
    # By the range and not by what was drawn, so that a sample does not depend on its batch.
    radius = min(_MOST_RADIUS, ceil(3 * long_width), min(x.shape[2:]) - 1)
    place = torch.arange(-radius, radius + 1.0)
    down, across = torch.meshgrid(place, place, indexing="ij")
    along = angle.cos()[:, None, None] * across + angle.sin()[:, None, None] * down
    beside = angle.cos()[:, None, None] * down - angle.sin()[:, None, None] * across
    first, second = sigma[:, 0, None, None], sigma[:, -1, None, None]
    kernel = torch.exp(-0.5 * ((along / first) ** 2 + (beside / second) ** 2))
    kernel = (kernel / kernel.sum((1, 2), keepdim=True)).to(x)
    b, c, h, w = x.shape
    padded = F.pad(x, (radius,) * 4, "reflect").reshape(1, b * c, h + 2 * radius, w + 2 * radius)
    return F.conv2d(padded, kernel.repeat_interleave(c, 0)[:, None], groups=b * c).view_as(x)


def _noisy(x: Tensor, keys: Tensor, ranges: _Ranges) -> Tensor:
    """Add Gaussian noise of a random level, for some samples the same in all colours."""
    draw = keyed_uniform(keys, "bsr noise", (2,))
    level = (ranges.noise[0] + draw[:, 0] * (ranges.noise[1] - ranges.noise[0])) / 127.5
    noise = keyed_normal(keys, "bsr noise", tuple(x.shape[1:]))
    noise = torch.where((draw[:, 1] < _GREY)[:, None, None, None], noise[:, :1], noise)
    return (x + (level[:, None, None, None] * noise).to(x)).clamp(-1, 1)


def _filed(x: Tensor, keys: Tensor, purpose: str, ranges: _Ranges) -> Tensor:
    """Write and read JPEG files of a random quality."""
    low, high = ranges.quality
    quality = (low + keyed_uniform(keys, f"bsr {purpose}") * (high - low)).round()
    return jpeg(x, quality.to(x))


def _resize_at_random(
    state: list[Tensor], rows: list[int], keys: Tensor, factor: int, full: torch.Size
) -> None:
    """Shrink samples of one size to random ones, down to half of the small pictures'."""
    draw = keyed_uniform(keys, "bsr resize", (2,))
    shrink = (1 + draw[:, 0] * (2 * factor - 1)).tolist()
    modes = (draw[:, 1] * len(_MODES)).long().tolist()
    for row, by, mode in zip(rows, shrink, modes, strict=True):
        now = state[row].shape[1:]
        # Multiples of 8, so that samples of one size come together again.
        height, width = (
            min(most, max(8, round(side / by / 8) * 8))
            for side, most in zip(full, now, strict=True)
        )
        state[row] = _resized(state[row][None], (height, width), _MODES[mode])[0]


def _resized(x: Tensor, size: tuple[int, int], mode: str = "bicubic") -> Tensor:
    """Resize, antialiased."""
    if mode == "area":
        return F.interpolate(x, size=size, mode="area")
    return F.interpolate(x, size=size, mode=mode, antialias=True).clamp(-1, 1)
