"""Pictures -> palettes, and what is done with palettes: comparing, drawing.

A palette is a probability vector over the 156 reference colours (see `codebook`).
"""

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from composer_pl_color.codebook import (
    BINS,
    ground_distance,
    reference_lab,
    reference_rgb,
    smoothing,
)
from composer_pl_color.lab import rgb_to_lab

SMALLEST = 1e-5
"""Smaller values of a smoothed histogram are set to 0, as in Rayleigh."""

UNRELATED = 6.5
"""Energy distance, in Lab units, between palettes of two photos of different things: the median
over random pairs is 6.0 in COCO, 6.6 in ImageNet samples and 7.5 in pictures of clothes."""

_PATIENCE = 7_500_000  # pixels after which comparing has cost as much as the table (3 s) does
_SIDE = 16  # side of a block of colours in `color_table`


def nearest_reference(
    lab: Float[Tensor, "n 3"], references: Float[Tensor, "k 3"]
) -> Int[Tensor, " n"]:
    """Return the index of the nearest reference for each colour, by squared Lab distance.

    Elementwise on purpose: autocast and TF32 would coarsen a matrix product.
    """
    squares, (light, a, b) = references.square().sum(1), -2 * references.T
    nearest = []
    # on a CPU a chunk's distances stay in the second-level cache: 7 times as fast
    for part in lab.split(2048 if lab.device.type == "cpu" else 1 << 18):
        # |p - c|^2 without |p|^2, which is the same for all c
        distance = torch.addcmul(squares, part[:, :1], light)
        distance.addcmul_(part[:, 1:2], a).addcmul_(part[:, 2:], b)
        nearest.append(distance.argmin(1))
    return torch.cat(nearest)


def color_table() -> Tensor:
    """Return the nearest reference of each of the 2^24 colours of 8 bits, as uint8.

    Colours are taken in blocks of 16^3. Only the references whose smallest distance to the block's
    box in Lab does not exceed another's largest can win inside it: about 10 of 156. So the table
    is exact, and costs as much as 450 pictures of 128 x 128 without it.
    """
    references = reference_lab().float()
    levels = torch.arange(256) / 255
    table = torch.empty((256, 256, 256), dtype=torch.uint8)
    blocks = 256 // _SIDE
    for red in range(0, 256, _SIDE):
        slab = torch.stack(torch.meshgrid(levels[red : red + _SIDE], levels, levels, indexing="ij"))
        lab = rgb_to_lab(slab.reshape(1, 3, -1, 256)).reshape(
            3, _SIDE, blocks, _SIDE, blocks, _SIDE
        )
        lab = lab.permute(2, 4, 1, 3, 5, 0).reshape(-1, _SIDE**3, 3)  # blocks, colours, 3
        low, high = lab.amin(1)[:, None], lab.amax(1)[:, None]
        least = (low - references).clamp(min=0) + (references - high).clamp(min=0)
        most = torch.maximum((references - low).abs(), (high - references).abs())
        can_win = least.square().sum(2) <= most.square().sum(2).amin(1, keepdim=True)
        winners = torch.empty(lab.shape[:2], dtype=torch.uint8)
        for block, mask in enumerate(can_win):
            candidates = mask.nonzero()[:, 0]
            winners[block] = candidates[nearest_reference(lab[block], references[candidates])]
        winners = winners.reshape(blocks, blocks, _SIDE, _SIDE, _SIDE).permute(2, 0, 3, 1, 4)
        table[red : red + _SIDE] = winners.reshape(_SIDE, 256, 256)
    return table.flatten()


class PaletteExtractor(nn.Module):
    """Pictures in [-1, 1] -> palettes `(b, 156)`.

    Colours are rounded to 8 bits, as in files. The first pictures are compared with all references;
    when as much time has gone as a table of all 2^24 colours takes, the table is built and looked
    up from then on. Both ways give the same numbers.

    Args:
        sigma: Smoothing in Lab units.
        table: True builds the table at once, False never, None when it begins to pay.
    """

    def __init__(self, sigma: float, *, table: bool | None = None):
        super().__init__()
        self.references: Tensor
        self.weights: Tensor
        self.register_buffer("references", reference_lab().float(), persistent=False)
        self.register_buffer("weights", smoothing(sigma).float(), persistent=False)
        self._middle = torch.tensor(127.5)  # as a tensor, scaling and adding are one pass
        self._patience = {True: 0, False: float("inf"), None: _PATIENCE}[table]
        self._seen = 0
        self._table = color_table() if table else None  # a plain attribute: not in checkpoints

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 156"]:
        """Count nearest references, smooth the histogram, cut small values, normalise."""
        levels = torch.add(self._middle, image.float(), alpha=127.5).clamp_(0, 255).round_()
        bins = self._nearest(levels)
        if levels.device.type == "cpu":  # counting bytes is twice as fast as counting int64
            counts = torch.stack([torch.bincount(one, minlength=BINS) for one in bins])
        else:  # one launch for the batch
            first = BINS * torch.arange(len(bins), device=bins.device)[:, None]
            counts = torch.bincount((bins + first).flatten(), minlength=BINS * len(bins))
            counts = counts.view(-1, BINS)
        return smooth(counts / bins.shape[1], self.weights)

    def _nearest(self, levels: Float[Tensor, "b 3 h w"]) -> Integer[Tensor, "b pixels"]:
        """The bin of each pixel, from the table or by comparing."""
        pixels = levels[:, 0].numel()
        if self._table is None and self._seen + pixels > self._patience:
            self._table = color_table()
        if self._table is None:
            self._seen += pixels
            lab = rgb_to_lab(levels / 255).movedim(1, 3).reshape(-1, 3)
            return nearest_reference(lab, self.references).view(len(levels), -1)
        if self._table.device != levels.device:
            self._table = self._table.to(levels.device)
        red, green, blue = levels.unbind(1)
        # float32 holds integers below 2^24 exactly, and one conversion is cheaper than three
        code = red.mul_(65536).add_(green, alpha=256).add_(blue).int().flatten()
        return self._table.index_select(0, code).view(len(levels), -1)


def smooth(
    histogram: Float[Tensor, "b 156"], weights: Float[Tensor, "156 156"]
) -> Float[Tensor, "b 156"]:
    """Spread a histogram over neighbouring references; return probability vectors.

    Each bin becomes the weighted mean of all bins (`weights` has rows summing to 1), and values
    below 1e-5 become 0, as in Rayleigh.

    Differs from the paper: the result is divided by its sum. Row-normalised weights do not conserve
    mass (colours count 0.84 to 1.25 fold), nor does the cut; after the division a palette stays a
    distribution, which distance, strip and mixtures of palettes rely on.
    """
    spread = (histogram[:, None, :] * weights).sum(2)
    spread = torch.where(spread < SMALLEST, 0, spread)
    return spread / spread.sum(1, keepdim=True)


def palette_from_colors(
    rgb: Float[Tensor, "n 3"], shares: Float[Tensor, " n"], sigma: float
) -> Float[Tensor, " 156"]:
    """Return the palette of a picture made of flat areas.

    Args:
        rgb: Colours in [0, 1].
        shares: Positive areas in any unit.
        sigma: Smoothing in Lab units.
    """
    lab = rgb_to_lab(rgb.double().T[None, :, :, None])[0, :, :, 0].T
    bins = nearest_reference(lab, reference_lab())
    histogram = torch.bincount(bins, weights=shares.double(), minlength=BINS)
    return smooth((histogram / histogram.sum())[None], smoothing(sigma))[0].float()


def palette_distance(
    value: Float[Tensor, "b 156"], other: Float[Tensor, "b 156"]
) -> Float[Tensor, " b"]:
    """Root of the energy distance under the Lab metric: 0 only for equal palettes.

    E = E|X - Y| - (E|X - X'| + E|Y - Y'|) / 2 with Euclidean distances in Lab (Szekely and Rizzo
    2013) equals the earth mover's distance for two single colours and never exceeds it; unlike
    that one it is a closed form. Its root is a metric and grows in proportion to a shift of all
    colours. Divided so that photos of different things are about 1 apart (`UNRELATED`); a picture
    made brighter by a tenth of the range is 0.4 from itself.
    """
    difference = (value - other).double()
    metric = ground_distance().to(value.device)
    energy = -0.5 * ((difference[:, None, :] * metric).sum(2) * difference).sum(1)
    return (energy.clamp(min=0) / UNRELATED).sqrt().to(value.dtype)


def draw_strip(
    value: Float[Tensor, "b 156"], *, height: int = 32, width: int = 256
) -> Float[Tensor, "b 3 height width"]:
    """Draw palettes as strips of colour in [0, 1], as in the paper's figures.

    Shows the bins above the 90th percentile (16 of 156), largest first, each as wide as its mass.
    """
    colors = reference_rgb().float()
    strips = []
    for mass in value.detach().float().cpu():
        shown = mass > torch.quantile(mass, 0.9)
        if not shown.any():  # a flat palette has no bin above its percentile
            shown = torch.ones_like(shown)
        order = torch.where(shown, mass, -torch.inf).argsort(descending=True)[: int(shown.sum())]
        edges = mass[order].clamp(min=1e-12).cumsum(0)
        middles = (torch.arange(width) + 0.5) / width * edges[-1]
        row = colors[order[torch.searchsorted(edges, middles).clamp(max=len(order) - 1)]]
        strips.append(row.T[:, None].expand(3, height, width))
    return torch.stack(strips).to(value.device)
