"""The set of greys: which RGB weights an intensity map is made with.

The paper draws the weights uniformly from a predefined set and does not publish it. Ours covers the
ways in which black-and-white pictures come about:

- `rec601`, `rec709`: luma of video and of nearly every "convert to greyscale" (Pillow and OpenCV
  use the first, colour-managed editors the second);
- `mean`: all channels alike, the I of HSI;
- `red`, `green`, `blue`: a single channel, as behind a colour filter or on film that is blind to
  part of the spectrum. They are the corners of the triangle of weights, so hue cannot be guessed
  from grey levels.

Rec. 2020 is left out: it differs from Rec. 709 by at most 0.05 a channel, and would only make that
corner of the set twice as likely. All weights are non-negative and sum to one, so that greys map to
themselves and no value leaves [-1, 1]. They act on the gamma-coded values, as those formulas do.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from composer_pl.plugin import ConfigError, keyed_draws

GREYS: dict[str, tuple[float, float, float]] = {
    "rec601": (0.299, 0.587, 0.114),
    "rec709": (0.2126, 0.7152, 0.0722),
    "mean": (1 / 3, 1 / 3, 1 / 3),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}
"""RGB weights by name."""


class Grey(nn.Module):
    """Weights the channels of pictures; the weights of each sample are drawn by its key.

    Args:
        names: Which of `GREYS` are drawn, all equally likely.

    Raises:
        ConfigError: No names, or an unknown one.
    """

    table: Tensor

    def __init__(self, names: Sequence[str]):
        super().__init__()
        unknown = [name for name in names if name not in GREYS]
        if unknown or not names:
            raise ConfigError(
                f"Setting up the condition 'intensity': greys must be one or more of "
                f"{', '.join(GREYS)}, found {', '.join(unknown) or 'none'}. "
                f"Next: correct the argument greys."
            )
        self.register_buffer("table", torch.tensor([GREYS[name] for name in names]))

    def draw(self, keys: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Which grey each key draws, on the CPU."""
        count = len(self.table)
        return keyed_draws(
            keys, "grey", lambda generator: torch.randint(count, (), generator=generator)
        )

    def forward(
        self, image: Float[Tensor, "b 3 h w"], keys: Int[Tensor, " b"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Pictures in [-1, 1] -> grey images in [-1, 1]."""
        weights = self.table.to(image)[self.draw(keys).to(image.device)]
        return (image * weights[:, :, None, None]).sum(1, keepdim=True).clamp(-1, 1)

    def every(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n 1 h w"]:
        """The grey images of all `n` members of the set."""
        greys = torch.einsum("bchw,nc->bnhw", image, self.table.to(image))
        return greys.clamp(-1, 1)[:, :, None]
